"""A payment provider's list <-> top-ups and adjustments that name a payment (`stripe:pi_1`).

What names a payment belongs to it; all that names it together must be what the provider says: a payment
counts for it, a refund against it. Payouts move the operator's own money and are not compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from billing.reconciliation.finding import Checked, Finding
from billing.reconciliation.link import Link
from billing.reconciliation.scope import Scope
from core.currencies import ISO_DECIMALS
from core.instants import instant_text
from core.numbers import CONTEXT, ZERO, plain

NAME: Final = "provider_payments"
MISSING_HERE: Final = "payment_missing_here"
MISSING_THERE: Final = "payment_missing_there"
AMOUNT: Final = "payment_amount_differs"
CURRENCY: Final = "payment_currency_differs"
TWICE: Final = "payment_booked_twice"
SETTLING: Final = timedelta(hours=1)
"""How long either side may take to hear of a payment before it is missing."""
PAYMENTS: Final = """
    SELECT provider, external_id, CASE kind WHEN 'refund' THEN -amount ELSE amount END, currency,
           happened_at, customer_id, billing_entity_id, kind, reference, id
    FROM billing_providerpayment WHERE superseded_at IS NULL AND kind <> 'payout'
    ORDER BY provider, external_id"""


def _named(kind: str, table: str, words: str, paid: str) -> str:
    return f"""
    SELECT DISTINCT p.provider, rtrim(found[1], '.:'), '{kind}', t.id, t.seq, t.customer_id,
           t.billing_entity_id, {paid}, t.created_at,
           p.covered @> (t.created_at - %(settling)s::interval)
               AND p.covered @> (t.created_at + %(settling)s::interval)
    FROM provider p
    JOIN {table} t ON strpos(t.{words}, p.provider || ':') > 0
    JOIN accounts_billingentity b ON b.id = t.billing_entity_id
    CROSS JOIN LATERAL regexp_matches(
        t.{words}, '(?<![a-z0-9_-])' || p.provider || ':([^\\s,;()\\[\\]"'']{{1,150}})', 'g') AS found
    """  # noqa: S608 - the words are ours


_PRICED: Final = """coalesce(t.price, t.amount),
           CASE WHEN t.price IS NULL THEN b.currency ELSE t.price_currency END"""
OURS: Final = f"""
    WITH provider AS MATERIALIZED (
        SELECT provider, range_agg(tstzrange(covers_from, covers_until)) AS covered
        FROM billing_paymentstatement GROUP BY 1)
    {_named("top-up", "billing_topup", "reference", _PRICED)} UNION ALL
    {_named("adjustment", "billing_adjustment", "reason", "t.amount, b.currency")}
    ORDER BY 1, 2, 10, 4"""  # noqa: S608 - the texts are ours
Mark = tuple[str, str]
"""(provider, its id of the payment)"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A payment as its provider has it; `amount` < 0 of a refund."""

    amount: Decimal
    currency: str
    at: datetime
    customer_id: int | None
    payer_id: int | None
    kind: str
    reference: str


@dataclass(frozen=True, slots=True)
class Booked:
    """A top-up or adjustment that names a payment. `is_covered`: a list covers its time."""

    kind: str
    id: int
    seq: int
    customer_id: int
    payer_id: int
    amount: Decimal
    currency: str
    at: datetime
    is_covered: bool

    @property
    def is_money(self) -> bool:
        """Whether it is in money; of the operator's own credits a provider knows nothing."""
        return self.currency in ISO_DECIMALS


def check(scope: Scope) -> Checked:
    """All that stands in lists, and all that names a payment of a provider with lists."""
    listed = {
        (row[0], row[1]): Listed(row[2], row[3], row[4], row[5], row[6], row[7], row[8])
        for row in scope.rows(PAYMENTS)
    }
    ours: dict[Mark, list[Booked]] = defaultdict(list)
    for row in scope.rows(OURS, settling=SETTLING):
        ours[row[0], row[1]].append(Booked(*row[2:]))
    findings = differences(listed, ours, scope.now)
    return Checked(len(listed) + sum(map(len, ours.values())), findings)


def differences(
    listed: Mapping[Mark, Listed], ours: Mapping[Mark, Sequence[Booked]], now: datetime
) -> list[Finding]:
    """What the two sides do not agree on. Pure."""
    return [
        difference
        for mark in sorted(listed.keys() | ours.keys())
        if (difference := _difference(mark, listed.get(mark), ours.get(mark, ()), now)) is not None
    ]


def _difference(
    mark: Mark, payment: Listed | None, booked: Sequence[Booked], now: datetime
) -> Finding | None:
    if payment is None:
        return _missing_there(mark, booked)
    if not booked:
        if payment.at > now - SETTLING:
            return None
        cause = "Nothing here names this payment: it was not booked, or without its mark."
        return _finding(MISSING_HERE, mark, payment, booked, payment.amount, None, payment.currency, cause)
    if not all(row.is_money for row in booked):
        return None
    actual = total([row for row in booked if row.currency == payment.currency])
    others = {row.currency for row in booked} - {payment.currency}
    if any(total([row for row in booked if row.currency == code]) for code in others):
        cause = f"The provider took {payment.currency}; what was booked is in another currency."
        return _finding(CURRENCY, mark, payment, booked, payment.amount, actual, payment.currency, cause)
    if actual == payment.amount:
        return None
    alike = [row for row in booked if row.amount == payment.amount]
    if len(alike) > 1:
        cause = f"It was booked {len(alike)} times."
        return _finding(TWICE, mark, payment, booked, payment.amount, actual, payment.currency, cause)
    cause = "What was booked for this payment is not what the provider took, or gave back."
    return _finding(AMOUNT, mark, payment, booked, payment.amount, actual, payment.currency, cause)


def _missing_there(mark: Mark, booked: Sequence[Booked]) -> Finding | None:
    money = [row for row in booked if row.is_money]
    currency = money[0].currency if money else ""
    actual = total([row for row in money if row.currency == currency])
    if not actual or not all(row.is_covered for row in booked):
        return None
    cause = "The provider's list covers its time and does not have it."
    return _finding(MISSING_THERE, mark, None, booked, None, actual, currency, cause)


def _finding(
    kind: str,
    mark: Mark,
    payment: Listed | None,
    booked: Sequence[Booked],
    expected: Decimal | None,
    actual: Decimal | None,
    unit: str,
    cause: str,
) -> Finding:
    there = (payment.customer_id, payment.payer_id) if payment else (None, None)
    customer_id, payer_id = (booked[0].customer_id, booked[0].payer_id) if booked else there
    return Finding(
        kind,
        f"payment {mark[0]}:{mark[1]}",
        unit,
        expected,
        actual,
        customer_id,
        payer_id,
        cause=cause,
        detail={
            "provider": mark[0],
            "payment": mark[1],
            "listed": None if payment is None else _listed(payment),
            "booked": [_booked(row) for row in booked],
        },
    )


def _listed(payment: Listed) -> dict[str, Any]:
    return {
        "kind": payment.kind,
        "amount": plain(payment.amount),
        "currency": payment.currency,
        "at": instant_text(payment.at),
        "reference": payment.reference,
    }


def _booked(row: Booked) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "id": row.id,
        "seq": row.seq,
        "amount": plain(row.amount),
        "currency": row.currency,
        "at": instant_text(row.at),
    }


def total(rows: Sequence[Booked]) -> Decimal:
    """What these come to."""
    amount = ZERO
    for row in rows:
        amount = CONTEXT.add(amount, row.amount)
    return amount


LINK: Final = Link(
    NAME,
    "provider's list",
    "top-ups and adjustments",
    {
        MISSING_HERE: "A provider lists a payment that nothing here names.",
        MISSING_THERE: "Something here names a payment that its provider's list does not have.",
        AMOUNT: "A payment was booked with another amount than its provider has.",
        CURRENCY: "A payment was booked in another currency than its provider took.",
        TWICE: "A payment was booked more than once.",
    },
    check,
    is_outside=True,
)
