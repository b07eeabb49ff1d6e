"""The commonest call, decided and booked in one go: one component without groups, paid by one grant.

`book_straight` does in a few lines what `deciding` and `booking` do for every call, with a third of their
objects; what is not of this kind it leaves to them, untouched. tests/properties/test_straight.py holds
both ways against each other: same rows, same balances, same answers.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.charging.booking import Batch, add_charge, add_event, add_margin, answer, count_usage
from billing.charging.deciding import AMOUNT_LIMIT, GROUP_LENGTH_MAX, line_record
from billing.charging.outcomes import Charged
from billing.charging.planning import Planned, PlannedLine
from billing.charging.reading import Known
from billing.charging.requests import Mode
from billing.funding import Grant, Part
from billing.ledger import WALLET
from core.numbers import ZERO
from pricing.rating.engine import Rated, rate_alone
from pricing.rating.models.base import NotPriced
from pricing.rating.state import EMPTY

ADDED_UP: Final = frozenset({"sum", "count"})
ACTIVE: Final = BillingEntity.Status.ACTIVE.value
WALLET_ONLY: Final = BillingEntity.Settlement.WALLET_ONLY.value


def book_straight(batch: Batch, item: Planned, known: Known) -> Charged | None:
    """Decide and book an item of the commonest kind; None, and nothing is changed, where it is not."""
    if not _is_common(item, known):
        return None
    line = item.lines[0]
    try:
        rated = rate_alone(line.component.rating, known.counters.get(line.key, EMPTY), line.usage)
    except NotPriced:
        return None
    payer = item.attribution.payer
    assert payer is not None
    book = known.books[payer.customer_id, payer.id]
    grant = _paying_grant(item, line, book, rated.amount)
    if grant is None:
        return None
    known.counters[line.key] = batch.states[line.key] = rated.state
    return _book(batch, item, line, book, grant, rated)


def _is_common(item: Planned, known: Known) -> bool:
    """Whether nothing but one plain component and the wallet has a say."""
    lines, heard, request, payer = item.lines, item.heard, item.request, item.attribution.payer
    if len(lines) != 1 or len(heard) != 1 or payer is None:
        return False
    if item.uniques or item.late_segments or item.floors is not None or item.stored is not None:
        return False
    if request.hold is not None or request.authorization is not None or not known.limiting.is_empty:
        return False
    if payer.settlement != WALLET_ONLY or payer.status != ACTIVE or payer.low_balance:
        return False
    if request.mode is not Mode.REPORT and (lines[0].segment.ceilings or not item.has_subscription):
        return False
    return (
        not lines[0].component.rating.group_dimensions
        and heard[0].meter.aggregation in ADDED_UP
        and len(heard[0].dimensions) <= GROUP_LENGTH_MAX
    )


def _paying_grant(item: Planned, line: PlannedLine, book: PayerBook, amount: Decimal) -> Grant | None:
    """The grant that pays for all of it, if the first to burn does and no hold has to be thought of."""
    funds = book.funds
    if funds.held or not funds.grants or not ZERO < amount < AMOUNT_LIMIT or funds.wallet < amount:
        return None
    grant = funds.grants[0]
    pays = grant.remaining >= amount and grant.pays_for(line.component.key, item.request.event.occurred_at)
    return grant if pays else None


def _book(
    batch: Batch, item: Planned, line: PlannedLine, book: PayerBook, grant: Grant, rated: Rated
) -> Charged:
    seq, amount = book.next_seq(), rated.amount
    heard = item.heard[0]
    lines = [line_record(line, line.usage.quantity, rated)]
    part = Part(line.component.key, WALLET, amount, grant.id, line.segment.id)
    add_event(batch, item, book, seq, unmatched=False, unpriced=False)
    count_usage(batch, item, heard, heard.quantity)
    add_margin(batch, item, (1, item.cost is not None, 0, 0, amount, item.cost or ZERO))
    book.burn(grant, amount, seq, batch.recorded_at, item.id_text)
    charged = answer(batch, item, book, seq, amount, lines)
    add_charge(batch, item, charged, (part,))
    return charged
