"""Running numbers <-> rows: a payer's numbers are all used, and each by one event and one charge at most."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from billing.reconciliation.link import NUMBERS, Checked, Finding, Link, Scope

NAME: Final = "numbers"
MISSING: Final = "number_missing"
BEYOND: Final = "number_beyond"
TWICE: Final = "number_twice"
SHOWN_MAX: Final = 20
USED: Final = """
    WITH used AS (
        SELECT span.payer_id, e.seq FROM span JOIN metering_usageevent e
            ON e.customer_id = span.customer_id AND e.billing_entity_id = span.payer_id AND e.seq > span.after
        UNION SELECT span.payer_id, c.seq FROM span JOIN billing_charge c
            ON c.customer_id = span.customer_id AND c.billing_entity_id = span.payer_id AND c.seq > span.after
        UNION SELECT span.payer_id, t.seq FROM span JOIN billing_transfer t
            ON t.customer_id = span.customer_id AND t.billing_entity_id = span.payer_id AND t.seq > span.after
    )
    SELECT span.customer_id, span.payer_id, span.upto - span.after,
           count(used.seq) FILTER (WHERE used.seq <= span.upto),
           count(used.seq) FILTER (WHERE used.seq > span.upto)
    FROM span LEFT JOIN used USING (payer_id)
    GROUP BY 1, 2, 3"""
GAPS: Final = """
    SELECT n.seq FROM span CROSS JOIN LATERAL generate_series(span.after + 1, span.upto) AS n(seq)
    WHERE span.payer_id = %(payer)s
        AND NOT EXISTS (SELECT FROM metering_usageevent e WHERE e.customer_id = span.customer_id
                            AND e.billing_entity_id = span.payer_id AND e.seq = n.seq)
        AND NOT EXISTS (SELECT FROM billing_charge c WHERE c.customer_id = span.customer_id
                            AND c.billing_entity_id = span.payer_id AND c.seq = n.seq)
        AND NOT EXISTS (SELECT FROM billing_transfer t WHERE t.customer_id = span.customer_id
                            AND t.billing_entity_id = span.payer_id AND t.seq = n.seq)
    ORDER BY 1 LIMIT %(limit)s"""
USED_TWICE: Final = """
    SELECT 'event', span.customer_id, span.payer_id, e.seq, count(*)
    FROM span JOIN metering_usageevent e
        ON e.customer_id = span.customer_id AND e.billing_entity_id = span.payer_id AND e.seq > span.after
    GROUP BY 2, 3, 4 HAVING count(*) > 1
    UNION ALL SELECT 'charge', span.customer_id, span.payer_id, c.seq, count(*)
    FROM span JOIN billing_charge c
        ON c.customer_id = span.customer_id AND c.billing_entity_id = span.payer_id AND c.seq > span.after
    GROUP BY 2, 3, 4 HAVING count(*) > 1"""


def check(scope: Scope) -> Checked:
    """Every number from the first that is looked at to the payer's last."""
    checked = Checked()
    for customer_id, payer_id, allotted, used, beyond in scope.rows(USED):
        checked.rows += used
        place = (customer_id, payer_id)
        if used != allotted:
            gaps = [row[0] for row in scope.rows(GAPS, payer=payer_id, limit=SHOWN_MAX)]
            checked.findings.append(_finding(MISSING, "numbers", allotted, used, place, {"numbers": gaps}))
        if beyond:
            checked.findings.append(_finding(BEYOND, "numbers", 0, beyond, place, {}))
    checked.findings += _twice(scope)
    return checked


def _twice(scope: Scope) -> Iterator[Finding]:
    for what, customer_id, payer_id, seq, count in scope.rows(USED_TWICE):
        detail = {"number": seq, "rows": what}
        yield _finding(TWICE, f"{what} {seq}", 1, count, (customer_id, payer_id), detail)


def _finding(
    kind: str, subject: str, expected: int, actual: int, place: tuple[int, int], detail: dict[str, Any]
) -> Finding:
    return Finding(kind, subject, NUMBERS, Decimal(expected), Decimal(actual), *place, detail=detail)


LINK: Final = Link(
    NAME,
    "running numbers",
    "rows",
    {
        MISSING: "Numbers that were allotted are on no event, charge or transfer: rows are gone.",
        BEYOND: "Rows bear numbers that the payer has not allotted.",
        TWICE: "One number is on two events or two charges.",
    },
    check,
)
