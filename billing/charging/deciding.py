"""Rating and deciding one item after the other, in memory, in `seq` order.

The reasons to refuse come in DESIGN.md's order; the first one is the answer. Nothing is changed before
an item is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from msgspec.structs import replace

from accounts.models import BillingEntity
from billing.book import PayerBook
from billing.charging.ceilings import beyond_ceiling
from billing.charging.limiting import Limiting
from billing.charging.outcomes import Denied
from billing.charging.planning import Heard, Planned, PlannedLine
from billing.charging.reading import Known, unique_key
from billing.charging.requests import Mode
from billing.funding import Funds, Part, burn, is_allowed
from core.errors import InvalidRequest
from core.numbers import CONTEXT, INTEGER_DIGITS_MAX, ONE, ZERO, plain
from metering.store import UniqueKey
from pricing.models import Counter
from pricing.rating.engine import Rated, rate_alone, rate_event
from pricing.rating.models.base import NotPriced
from pricing.rating.state import EMPTY, State
from pricing.store import CounterKey

AMOUNT_LIMIT: Final = Decimal(10) ** INTEGER_DIGITS_MAX
GROUP_LENGTH_MAX: Final = 600
"""Groups are part of keys, and PostgreSQL's index rows end at 2,704 bytes."""
add = CONTEXT.add


@dataclass(slots=True)
class RatedItem:
    """What an item would cost, with the states that would follow; nothing of it is applied yet.

    `amounts` are (component, amount) of the lines that have a price, `segments` theirs.
    """

    amount: Decimal = ZERO
    amounts: list[tuple[str, Decimal]] = field(default_factory=list)
    segments: list[int] = field(default_factory=list)
    lines: list[dict[str, Any]] = field(default_factory=list)
    states: dict[CounterKey, State] = field(default_factory=dict)
    new_uniques: set[UniqueKey] = field(default_factory=set)
    not_priced: InvalidRequest | None = None


def rate_item(item: Planned, known: Known) -> RatedItem:
    """Rate an item's lines at the counters as they stand. Raises `number_out_of_range`, `group_too_long`."""
    rated = RatedItem()
    payer = item.attribution.payer
    assert payer is not None
    if _has_long_group(item.heard) or _has_long_group(item.lines):
        raise InvalidRequest(
            "group_too_long",
            f"The values that a meter groups this event by take more than {GROUP_LENGTH_MAX} characters.",
            "properties",
        )
    if item.uniques:
        rated.new_uniques = {unique_key(item, use) for use in item.uniques} - known.uniques
    for line in item.lines:
        try:
            _rate_line(item, line, known, rated)
        except NotPriced as problem:
            rated.not_priced = problem
    if rated.amount.copy_abs() >= AMOUNT_LIMIT:
        raise InvalidRequest(
            "number_out_of_range", "The price of this event has more than 20 integer digits.", "properties"
        )
    return rated


def _has_long_group(ones: Sequence[Heard] | Sequence[PlannedLine]) -> bool:
    return any(len(one.dimensions) > GROUP_LENGTH_MAX for one in ones)


def quantity_of(item: Planned, one: Heard | PlannedLine, rated: RatedItem) -> Decimal:
    """What an item adds to a meter: of a `unique` meter, 1 at the first occurrence and 0 after."""
    if one.unique is not None:
        return ONE if unique_key(item, one.unique) in rated.new_uniques else ZERO
    return one.quantity if isinstance(one, Heard) else one.usage.quantity


def _rate_line(item: Planned, line: PlannedLine, known: Known, rated: RatedItem) -> None:
    component = line.component.rating
    key = line.key
    state = rated.states.get(key) or known.counters.get(key, EMPTY)
    usage = line.usage
    if line.unique is not None:
        usage = replace(usage, quantity=quantity_of(item, line, rated))
    if component.group_dimensions:
        total_key = key._replace(dimensions=Counter.TOTAL)
        total = rated.states.get(total_key) or known.counters.get(total_key, EMPTY)
        result = rate_event(component, state, total.amount, usage)
        rated.states[total_key] = State(amount=result.subtotal)
    else:
        result = rate_alone(component, state, usage)
    rated.states[key] = result.state
    rated.amount = add(rated.amount, result.amount)
    rated.amounts.append((line.component.key, result.amount))
    rated.segments.append(line.segment.id)
    rated.lines.append(line_record(line, usage.quantity, result))


def line_record(line: PlannedLine, quantity: Decimal, result: Rated) -> dict[str, Any]:
    """A component's line of a charge, as it is stored and answered."""
    component, segment = line.component, line.segment
    return {
        "component": component.key,
        "meter": component.meter_key,
        "quantity": plain(quantity),
        "amount": plain(result.amount),
        "plan_version": segment.version.public_id,
        "position": {"from": plain(result.position_from), "to": plain(result.position_to)},
        "segment": segment.id,
        "component_id": component.id,
        "dimensions": line.key.dimensions,
    }


def refuse(
    item: Planned, book: PayerBook, rated: RatedItem, parts: list[Part], limiting: Limiting
) -> Denied | None:
    """The first reason to refuse a charge that asks; None to go on. Reported usage is never refused."""
    if item.request.mode is Mode.REPORT:
        return None
    payer = item.attribution.payer
    assert payer is not None
    reason = None
    if payer.state_at(limiting.now) == BillingEntity.Status.SUSPENDED:
        reason = "suspended"
    elif not item.has_subscription:
        reason = "no_subscription"
    elif (beyond := beyond_ceiling(item, rated.lines)) is not None:
        return replace(denied(item, "entitlement", book.funds, rated.amount), **beyond.as_denied())
    elif (bounded := _bounded(item, rated, limiting)) is not None:
        return replace(denied(item, bounded[0], book.funds, rated.amount), **bounded[1])
    elif rated.amount > 0 and not is_allowed(book.funds, parts):
        refusal = denied(item, "insufficient_funds", book.funds, rated.amount)
        return replace(refusal, retryable=_may_be_paid_later(item, book.funds, parts, limiting.now))
    elif item.floors is not None and (floor := item.floors.beyond(rated.amount, item.cost)) is not None:
        refusal = denied(item, "margin_floor", book.funds, rated.amount)
        resets_at = datetime.fromisoformat(floor.key.ends_at)
        return replace(refusal, level=floor.level, level_id=floor.level_id, resets_at=resets_at)
    if reason is None:
        return None
    return denied(item, reason, book.funds, rated.amount)


def _may_be_paid_later(item: Planned, funds: Funds, parts: Sequence[Part], now: datetime) -> bool:
    """Whether the same call may find money later.

    What is topped up from now on pays for no usage that says that it happened before: for that, only what
    holds give back, or credit that is paid back.
    """
    event = item.request.event
    is_dated = "occurred_at" in event.payload and event.occurred_at < now
    if not is_dated or funds.settlement != BillingEntity.Settlement.WALLET_ONLY:
        return True
    unheld = copy(funds)
    unheld.held, unheld.reserved = ZERO, {}
    lines = [(part.component, part.amount) for part in parts if part.amount > 0]
    return is_allowed(unheld, burn(unheld, lines, event.occurred_at))


def _bounded(item: Planned, rated: RatedItem, limiting: Limiting) -> tuple[str, dict[str, Any]] | None:
    """The entitlement or limit that refuses an item: the reason, and what it says."""
    if limiting.is_empty:
        return None
    missing = limiting.missing(item, partial(quantity_of, item, rated=rated))
    if missing is not None:
        return "entitlement", missing.as_denied()
    over = limiting.over(item, rated)
    return None if over is None else ("spend_limit", over.as_denied())


def denied(item: Planned, reason: str, funds: Funds, amount: Decimal) -> Denied:
    """A refusal at the payer's level."""
    payer = item.attribution.payer
    assert payer is not None
    return Denied(
        reason=reason,
        level="billing_entity",
        level_id=payer.public_id,
        expected_amount=amount,
        currency=payer.currency,
        available=funds.available,
        settled=funds.wallet,
        held=funds.held,
    )


def fund(item: Planned, book: PayerBook, rated: RatedItem, captured_at: datetime | None = None) -> list[Part]:
    """Who would pay for the item's positive lines. What has happened already may take what holds need.

    A capture is paid with what the wallet has then: a hold reserves the wallet, so a grant that came after
    the call began may stand in for one that others have used meanwhile.
    """
    return burn(
        book.funds,
        rated.amounts,
        captured_at or item.request.event.occurred_at,
        rated.segments,
        keeps=item.request.mode is not Mode.REPORT,
    )
