"""The commonest calls, decided and booked in one go: components without groups, paid by one grant.

`book_straight` does in a few lines what `deciding` and `booking` do for every call, with a third of their
objects; what is not of this kind, and what limits, entitlements or a margin floor would refuse, it leaves to
them, untouched. tests/properties/test_straight.py holds both ways against each other: same rows, same
balances, same answers.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from msgspec import Struct

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.charging.booking import (
    Batch,
    add_charge,
    add_event,
    add_margin,
    answer,
    count_usage,
    note_floors,
)
from billing.charging.deciding import AMOUNT_LIMIT, GROUP_LENGTH_MAX, line_record
from billing.charging.outcomes import Charged
from billing.charging.planning import Heard, Planned
from billing.charging.reading import Known
from billing.charging.requests import Mode
from billing.funding import Grant, Part
from billing.ledger import WALLET
from core.numbers import CONTEXT, ZERO
from pricing.rating.engine import Rated, rate_alone
from pricing.rating.models.base import NotPriced
from pricing.rating.state import EMPTY

ADDED_UP: Final = frozenset({"sum", "count"})
ACTIVE: Final = BillingEntity.Status.ACTIVE.value
REPORT: Final = Mode.REPORT
WALLET_ONLY: Final = BillingEntity.Settlement.WALLET_ONLY.value
add = CONTEXT.add


class Priced(Struct):
    """What an item costs, its lines as they are stored, and the states that follow, in the order of lines."""

    amount: Decimal
    lines: list[dict[str, Any]]
    rated: list[Rated]


def book_straight(batch: Batch, item: Planned, known: Known) -> Charged | None:
    """Decide and book an item of the commonest kinds; None, and nothing is changed, where it is not."""
    if not _is_common(item):
        return None
    priced = _price(item, known)
    if priced is None:
        return None
    payer = item.attribution.payer
    assert payer is not None
    book = known.books[payer.customer_id, payer.id]
    grant = _paying_grant(item, book, priced.amount)
    if grant is None or (item.request.mode is not REPORT and _is_bounded(item, known, priced)):
        return None
    return _book(batch, item, known, book, grant, priced)


def _is_common(item: Planned) -> bool:
    """Whether nothing but plain components, the wallet, and what bounds the payer has a say."""
    lines, request, payer = item.lines, item.request, item.attribution.payer
    if not lines or payer is None:
        return False
    if item.uniques or item.late_segments or item.stored is not None:
        return False
    if request.hold is not None or request.authorization is not None:
        return False
    asks = request.mode is not REPORT
    for line in lines:
        if line.component.rating.group_dimensions or (asks and line.segment.ceilings):
            return False
    for heard in item.heard:
        if heard.meter.aggregation not in ADDED_UP or len(heard.dimensions) > GROUP_LENGTH_MAX:
            return False
    if asks and not item.has_subscription:
        return False
    return payer.settlement == WALLET_ONLY and payer.status == ACTIVE and not payer.low_balance


def _price(item: Planned, known: Known) -> Priced | None:
    """Rate the lines at the counters as they stand; None where one has no price, or gives back."""
    total, rated, records = ZERO, [], []
    for line in item.lines:
        try:
            one = rate_alone(line.component.rating, known.counters.get(line.key, EMPTY), line.usage)
        except NotPriced:
            return None
        if one.amount < ZERO:
            return None
        total = add(total, one.amount)
        rated.append(one)
        records.append(line_record(line, line.usage.quantity, one))
    return Priced(total, records, rated)


def _paying_grant(item: Planned, book: PayerBook, amount: Decimal) -> Grant | None:
    """The grant that pays for all of it, if the first to burn does and no hold has to be thought of."""
    funds = book.funds
    if funds.held or not funds.grants or not ZERO < amount < AMOUNT_LIMIT or funds.wallet < amount:
        return None
    grant, occurred_at = funds.grants[0], item.request.event.occurred_at
    if grant.remaining < amount:
        return None
    for line in item.lines:
        if not grant.pays_for(line.component.key, occurred_at):
            return None
    return grant


def _is_bounded(item: Planned, known: Known, priced: Priced) -> bool:
    """Whether an entitlement, a limit or a margin floor refuses it."""
    limiting = known.limiting
    if not limiting.is_empty and (limiting.missing(item, _counted) or limiting.over(item, priced)):
        return True
    return item.floors is not None and item.floors.beyond(priced.amount, item.cost) is not None


def _counted(heard: Heard) -> Decimal:
    return heard.quantity


def _book(
    batch: Batch, item: Planned, known: Known, book: PayerBook, grant: Grant, priced: Priced
) -> Charged:
    seq, amount, limiting = book.next_seq(), priced.amount, known.limiting
    parts = []
    for line, rated in zip(item.lines, priced.rated, strict=True):
        known.counters[line.key] = batch.states[line.key] = rated.state
        if rated.amount:
            parts.append(Part(line.component.key, WALLET, rated.amount, grant.id, line.segment.id))
    if not limiting.is_empty:
        limiting.count(item, priced)
        limiting.count_quotas(item, _counted)
    add_event(batch, item, book, seq, unmatched=False, unpriced=False)
    for heard in item.heard:
        count_usage(batch, item, heard, heard.quantity)
    if item.floors is not None:
        note_floors(item, amount)
    add_margin(batch, item, (1, item.cost is not None, 0, 0, amount, item.cost or ZERO))
    book.burn(grant, amount, seq, batch.recorded_at, item.id_text)
    charged = answer(batch, item, book, seq, amount, priced.lines)
    add_charge(batch, item, charged, parts)
    return charged
