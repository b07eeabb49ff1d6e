"""Charges, fees, closes and coupons <-> transfers: what was booked is what was moved, account by account."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NamedTuple

from billing.reconciliation.link import Checked, Finding, Link, Scope
from core.numbers import CONTEXT, ZERO

NAME: Final = "transfers"
CHARGE_MISSING: Final = "charge_missing"
USAGE: Final = "usage_not_moved"
FEE: Final = "fee_not_moved"
CLOSE: Final = "close_not_moved"
SIDES: Final = "moved_elsewhere"
# What was booked says who paid (`funding`); a transfer's other side is the account that earned it. A
# correction (`reconciliation/repairs/transfers.py`) belongs to the number that it corrects.
_BOOKED: Final = """
    SELECT span.customer_id, span.payer_id, b.seq, part->>'account' AS account,
           sum((part->>'amount')::numeric) AS amount
    FROM span JOIN {table} b ON b.customer_id = span.customer_id AND b.billing_entity_id = span.payer_id
        AND b.seq > span.after
    CROSS JOIN LATERAL jsonb_array_elements(b.funding) AS part
    GROUP BY 1, 2, 3, 4"""
_MOVED: Final = """
    SELECT span.customer_id, span.payer_id, own.seq,
           CASE WHEN t.destination = 'revenue' THEN t.source WHEN t.source = 'revenue' THEN t.destination
                ELSE t.source || ' to ' || t.destination END AS account,
           sum(CASE WHEN t.source = 'revenue' THEN -t.amount ELSE t.amount END) AS amount
    FROM span JOIN billing_transfer t ON t.customer_id = span.customer_id
        AND t.billing_entity_id = span.payer_id AND t.seq > span.after
    CROSS JOIN LATERAL (SELECT
        CASE WHEN t.reason = 'correction' THEN split_part(t.reference, ':', 2)::bigint ELSE t.seq END AS seq,
        CASE WHEN t.reason = 'correction' THEN split_part(t.reference, ':', 1) ELSE t.reason END AS reason
        ) AS own
    WHERE own.reason IN ({reasons}) AND own.seq > span.after
    GROUP BY 1, 2, 3, 4"""
_DIFFERING: Final = """
    SELECT customer_id, payer_id, seq, account, b.amount, m.amount
    FROM ({booked}) b FULL JOIN ({moved}) m USING (customer_id, payer_id, seq, account)
    WHERE coalesce(b.amount, 0) <> coalesce(m.amount, 0)
    ORDER BY 1, 2, 3, 4"""


def _statement(reasons: str, *tables: str) -> str:
    booked = " UNION ALL ".join(f"({_BOOKED.replace('{table}', table)})" for table in tables)
    moved = _MOVED.replace("{reasons}", reasons)
    return _DIFFERING.replace("{booked}", booked).replace("{moved}", moved)


USAGE_MOVED: Final = _statement("'usage', 'reversal'", "billing_charge")
FEES_MOVED: Final = _statement("'base_fee', 'coupon'", "billing_bookedfee", "billing_couponcredit")
CLOSES_MOVED: Final = _statement("'close'", "billing_closingline")
_UNPAID: Final = """
    SELECT '{what}', r.customer_id, r.billing_entity_id, r.seq, r.amount, {sign}parts.amount
    FROM span JOIN {table} r ON r.customer_id = span.customer_id
        AND r.billing_entity_id = span.payer_id AND r.seq > span.after
    CROSS JOIN LATERAL (SELECT coalesce(sum((one->>'amount')::numeric), 0) AS amount
                        FROM jsonb_array_elements(r.funding) AS one) AS parts
    WHERE r.amount <> {sign}parts.amount"""
# An amount may have been changed beside what paid for it.
AMOUNTS: Final = " UNION ALL ".join(
    _UNPAID.replace("{what}", what).replace("{table}", table).replace("{sign}", sign)
    for what, table, sign in (
        ("fee", "billing_bookedfee", ""),
        ("close", "billing_closingline", ""),
        ("coupon", "billing_couponcredit", "-"),
    )
)


class _Side(NamedTuple):
    account: str
    booked: Decimal
    moved: Decimal


def check(scope: Scope) -> Checked:
    """Each ledger transaction of the payers that came of usage, a fee, a close or a coupon."""
    findings: list[Finding] = []
    for kind, query in ((USAGE, USAGE_MOVED), (FEE, FEES_MOVED), (CLOSE, CLOSES_MOVED)):
        findings += _differing(scope, kind, query)
    for what, customer_id, payer_id, seq, amount, paid in scope.rows(AMOUNTS):
        findings.append(
            Finding(
                CLOSE if what == "close" else FEE,
                f"{what} {seq}",
                scope.currency(payer_id),
                paid,
                amount,
                customer_id,
                payer_id,
                cause="The amount was changed after it was paid for.",
                detail={"number": seq},
            )
        )
    return Checked(scope.counted.transfers, findings)


def _differing(scope: Scope, kind: str, query: str) -> Iterator[Finding]:
    """One finding a ledger transaction, whichever accounts of it differ."""
    found: dict[tuple[int, int, int], list[_Side]] = {}
    booked_at: set[tuple[int, int, int]] = set()
    for customer_id, payer_id, seq, account, booked, moved in scope.rows(query):
        place = (customer_id, payer_id, seq)
        found.setdefault(place, []).append(_Side(account, booked or ZERO, moved or ZERO))
        if booked is not None:
            booked_at.add(place)
    for place, sides in found.items():
        yield _finding(scope, kind, place, sides, is_booked=place in booked_at)


def _finding(
    scope: Scope, kind: str, place: tuple[int, int, int], sides: list[_Side], *, is_booked: bool
) -> Finding:
    customer_id, payer_id, seq = place
    booked = moved = elsewhere = ZERO
    for side in sides:
        booked, moved = CONTEXT.add(booked, side.booked), CONTEXT.add(moved, side.moved)
        elsewhere = CONTEXT.add(elsewhere, max(ZERO, CONTEXT.subtract(side.moved, side.booked)))
    detail: dict[str, Any] = {
        "number": seq,
        "accounts": [
            {"account": side.account, "booked": str(side.booked), "moved": str(side.moved)} for side in sides
        ],
    }
    if booked == moved:
        kind, amount, cause = SIDES, elsewhere, "The amount is right, but another account paid it."
    elif kind == USAGE and not is_booked and not _has_charge(scope, place):
        kind, amount, cause = CHARGE_MISSING, None, "The transfers are there, and the charge is gone."
        booked, moved = moved, ZERO
    else:
        amount, cause = None, "A transfer or what it was booked for was changed."
    return Finding(
        kind,
        f"number {seq}",
        scope.currency(payer_id),
        booked,
        moved,
        customer_id,
        payer_id,
        amount=amount,
        cause=cause,
        detail=detail,
    )


def _has_charge(scope: Scope, place: tuple[int, int, int]) -> bool:
    query = """SELECT 1 FROM billing_charge
        WHERE customer_id = %(customer)s AND billing_entity_id = %(payer)s AND seq = %(seq)s"""
    return bool(scope.rows(query, customer=place[0], payer=place[1], seq=place[2]))


LINK: Final = Link(
    NAME,
    "charges, fees and closes",
    "transfers",
    {
        CHARGE_MISSING: "Transfers of usage have no charge: it was deleted.",
        USAGE: "A charge or reversal is not what its transfers moved.",
        FEE: "A base fee or coupon is not what its transfers moved.",
        CLOSE: "A closing line is not what its transfers moved.",
        SIDES: "A transfer moved the right amount between the wrong accounts.",
    },
    check,
)
