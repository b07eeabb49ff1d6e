"""What every change of a subscription has in common: note it, reshape its periods, book the difference.

Many subscriptions at once take as many statements as one. Order of locks: the payers' wallet rows, then the
subscriptions', then their customers' (by triggers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from django.db import transaction

from billing.base_fees import book_fees, due_fees
from billing.book import PayerBook
from billing.models import BookedFee
from billing.periods import is_due, move_on
from billing.recurring_credits import release_payer_credits
from billing.subscriptions.checks import parts_of, quantity_keys, refuse_overlaps
from billing.subscriptions.ramping import ramp_changes, withdraw_ramps
from billing.subscriptions.recording import Action, Status, record
from billing.subscriptions.usage import rerate_since, with_usage_since
from billing.wallets import open_books
from core.errors import Conflict, InvalidRequest
from core.numbers import ZERO, plain
from core.partitions import ensure_month
from pricing.locked import Locked, lock_subscriptions, make_periods, save_rows
from pricing.models import BillingPeriod, PlanVersion, Subscription, SubscriptionChange
from pricing.periods import SHORTEST
from pricing.reshaping import reshape_periods
from pricing.terms import terms_of
from pricing.timeline import Timeline

PERIOD_END: Final = "period_end"
At = datetime | Literal["period_end"] | None
"""When a change takes effect: at once, at the end of the current billing period, or at an instant."""

Life = Subscription.Status
Note = Callable[[Locked, Timeline, datetime, PlanVersion | None], SubscriptionChange]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A change of a subscription as of `at`, perhaps to `version`.

    `note` checks, under the lock, what is to change and gives its row, not stored yet; it is given the
    version as it is now.
    """

    subscription: Subscription
    at: At
    note: Note
    version: PlanVersion | None = None


@dataclass(slots=True)
class Moved:
    """What became of a change: the subscription as it is now, the fees booked, and what usage costs more."""

    subscription: Subscription
    change: SubscriptionChange
    fees: list[BookedFee] = field(default_factory=list)
    usage: Decimal = ZERO


@dataclass(slots=True)
class _Move:
    """One change on its way: as of `at`, from the timeline `before`."""

    locked: Locked
    at: datetime
    before: Timeline
    change: SubscriptionChange
    after: Timeline


def move(wanted: Wanted, now: datetime) -> Moved:
    """Change a subscription, in one transaction (or a part of the caller's); see `move_many`."""
    return move_many([wanted], now)[0]


def move_many(wanted: Sequence[Wanted], now: datetime) -> list[Moved]:
    """Change subscriptions, each named once: all or none, in one transaction (or a part of the caller's).

    Fees are booked, forth and back, as far as they are due by `now`; usage from then on that was charged
    already is rated anew.
    """
    entities = [each.subscription.billing_entity for each in wanted]
    ensure_month(now)
    with transaction.atomic():
        with open_books(entities, now) as books:
            since = min([now, *(each.at for each in wanted if isinstance(each.at, datetime))])
            locked = lock_subscriptions([each.subscription.pk for each in wanted], since)
            now = max([now, *(present(each, now) for each in locked.values())])
            moves = _noted(wanted, locked, since, now)
            refuse_overlaps([(each.locked, parts_of(each.after, each.at)) for each in moves])
            periods = reshape_periods((each.locked, each.after, each.at) for each in moves)
            for each in moves:
                if each.at <= now:
                    take_over(each.locked, each.after, now)
            locks = [each.locked for each in moves]
            save_rows(locks)
            fees = settle(books, locks, periods, now)
        moved = [Moved(each.locked.row, each.change, fees.get(each.locked.row.pk, [])) for each in moves]
        _follow_up(moves, moved, now)
    return moved


def instant_of(locked: Locked, at: At, now: datetime) -> datetime:
    """The instant that `at` means; not before the subscription starts. Its first period must exist."""
    begins = max(now, locked.row.starts_at)
    if at is None:
        return begins
    if at != PERIOD_END:
        return max(at, locked.row.starts_at)
    period = locked.period_at(begins)
    if period is None:
        raise Conflict("not_active", "The subscription has no billing period now.", "at")
    ends_at: datetime = period.ends_at
    return ends_at


def refuse_unless_running(subscription: Subscription, at: datetime) -> None:
    """Raise Conflict when the subscription is over by then."""
    if subscription.status == Life.ENDED or (subscription.ends_at is not None and subscription.ends_at <= at):
        raise Conflict("not_active", "The subscription is over by then.", "at")


def refuse_past(at: At, now: datetime) -> None:
    """Raise for what cannot be done in the past."""
    if isinstance(at, datetime) and at < now:
        raise InvalidRequest("in_past", "This takes effect now or later.", "at")


def settle(
    books: Mapping[int, PayerBook],
    locks: Sequence[Locked],
    concerned: Mapping[int, Iterable[BillingPeriod]],
    now: datetime,
) -> dict[int, list[BookedFee]]:
    """Bring the subscriptions' periods up to `now`, and book what these and those due anyway still lack.

    `concerned` and the fees booked are by subscription.
    """
    make_periods(locks, now, now)
    periods = []
    for each in locks:
        named = {period.pk for period in concerned.get(each.row.pk, ()) if period.starts_at <= now}
        periods += [period for period in each.periods if period.pk in named or is_due(period, now)]
    due = due_fees(periods, now, {each.row.pk: each.timeline(now) for each in locks})
    booked: dict[int, list[BookedFee]] = {}
    for fee in book_fees(books, due, now):
        booked.setdefault(fee.subscription_id, []).append(fee)
    move_on(due, now)
    return booked


def present(locked: Locked, now: datetime) -> datetime:
    """`now`, but after all that was carried out: whoever was first may have read a clock that is ahead, or
    have read it later and come to the lock sooner."""
    done = [
        each.at for each in locked.changes if each.status == Status.APPLIED and each.action != Action.START
    ]
    return max([now, *(at + SHORTEST for at in done if at > now)])


def take_over(locked: Locked, timeline: Timeline, now: datetime) -> None:
    """Let the subscription's row say what its timeline says of the present; `save_rows` writes it."""
    row, span = locked.row, timeline.at(present(locked, now))
    taken = quantity_keys(span.version)
    values: dict[str, Any] = {
        "version": span.version,
        "quantities": {key: plain(value) for key, value in span.quantities.items() if key in taken},
        "anchor_at": span.anchor_at,
    }
    if row.status in (Life.ACTIVE, Life.PAUSED):
        values["status"] = Life.PAUSED if span.is_paused else Life.ACTIVE
    for name, value in values.items():
        if getattr(row, name) != value:
            setattr(row, name, value)
            locked.unsaved.add(name)


def _noted(
    wanted: Sequence[Wanted], locks: Mapping[int, Locked], since: datetime, now: datetime
) -> list[_Move]:
    """Check, under the locks, what is to change and store it."""
    make_periods((locked for locked in locks.values() if locked.row.starts_at <= now), now, since)
    for locked in locks.values():
        make_periods([locked], max(now, locked.row.starts_at), since)
    pks = {each.version.pk for each in wanted if each.version is not None}
    versions = {row.pk: row for row in PlanVersion.objects.filter(pk__in=pks).select_related("plan")}
    moves = []
    for each in wanted:
        locked = locks[each.subscription.pk]
        at, before = instant_of(locked, each.at, now), locked.timeline()
        change = each.note(locked, before, at, versions[each.version.pk] if each.version else None)
        moves.append(_Move(locked, at, before, change, before))
    withdraw_ramps((each.locked, each.at) for each in moves if each.change.version is not None)
    record([(each.locked, [each.change, *_phases(each)]) for each in moves], now)
    for move in moves:
        move.after = move.locked.timeline()
    return moves


def _phases(move: _Move) -> list[SubscriptionChange]:
    version = move.change.version
    return [] if version is None else ramp_changes(move.locked, version, move.at)


def _follow_up(moves: Sequence[_Move], moved: Sequence[Moved], now: datetime) -> None:
    """Give the credits that a version brings, and rate anew the usage that it puts under another price.

    Of a change that is to come, that is what a caller's clock was ahead of: its segment covers it already.
    """
    for each in moves:
        if any(terms_of(span.version).credits for span in each.after.spans):
            release_payer_credits(each.locked.row.billing_entity, now)
    changed = [
        (each, done)
        for each, done in zip(moves, moved, strict=True)
        if each.change.action != Action.CHANGE or each.change.version is not None
    ]
    used = with_usage_since([(each.locked.row, each.at) for each, _ in changed], now)
    for each, done in changed:
        if each.locked.row.pk in used:
            done.usage = rerate_since(
                each.locked.row,
                each.at,
                now,
                versions=(each.before.at(each.at).version, each.after.at(each.at).version),
                reason=each.change.reason or f"{each.change.action} of {each.locked.row.public_id}",
            )
