"""Transfers <-> balances: an account's balance is what came in less what went out."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from billing.reconciliation.comparing import compare
from billing.reconciliation.link import Checked, Finding, Link, Scope, SumKey

NAME: Final = "balances"
BALANCE: Final = "balance"
ENTRIES: Final = """
    SELECT span.customer_id, span.payer_id, side.kind, sum(side.amount), count(*)
    FROM span
    JOIN billing_transfer t ON t.customer_id = span.customer_id AND t.billing_entity_id = span.payer_id
        AND t.seq > span.after
    CROSS JOIN LATERAL (VALUES (t.source, -t.amount), (t.destination, t.amount)) AS side(kind, amount)
    GROUP BY 1, 2, 3"""
BALANCES: Final = """
    SELECT span.customer_id, span.payer_id, a.kind, a.balance
    FROM span JOIN billing_ledgeraccount a
        ON a.customer_id = span.customer_id AND a.billing_entity_id = span.payer_id"""


def check(scope: Scope) -> Checked:
    """Every account of every payer."""

    def difference(place: SumKey, expected: Decimal, actual: Decimal) -> Finding:
        customer_id, payer_id, kind = place
        return Finding(
            BALANCE,
            f"account {kind}",
            scope.currency(payer_id),
            expected,
            actual,
            customer_id,
            payer_id,
            cause="The balance was changed without a transfer, or a transfer without the balance.",
            detail={"account": kind},
        )

    return compare(scope, NAME, scope.rows(ENTRIES), scope.rows(BALANCES), difference)


LINK: Final = Link(
    NAME,
    "transfers",
    "balances",
    {BALANCE: "A balance is not the sum of its account's entries."},
    check,
)
