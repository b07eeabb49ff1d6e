"""What every change of a subscription has in common: note it, reshape its periods, book the difference.

Order of locks: the payer's wallet row, then the subscription's, then its customer's (by triggers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, Literal

from django.db.models import Q

from billing.base_fees import book_fees, due_fees
from billing.book import PayerBook
from billing.models import BookedFee
from billing.periods import due_periods, move_on, open_next_periods
from billing.recurring_credits import release_payer_credits
from billing.subscriptions.checks import parts_of, quantity_keys, refuse_overlap
from billing.subscriptions.ramping import schedule_ramp, withdraw_ramp
from billing.subscriptions.recording import Action, record
from billing.subscriptions.usage import rerate_since
from billing.wallets import open_book
from core.errors import Conflict, InvalidRequest
from core.numbers import ZERO, plain
from pricing.models import BillingPeriod, Subscription, SubscriptionChange
from pricing.periods import ensure_segments
from pricing.reshaping import reshape_periods
from pricing.timeline import Timeline, timelines_of

PERIOD_END: Final = "period_end"
At = datetime | Literal["period_end"] | None
"""When a change takes effect: at once, at the end of the current billing period, or at an instant."""

Life = Subscription.Status


@dataclass(slots=True)
class Moved:
    """What became of a change: the subscription as it is now, the fees booked, and what usage costs more."""

    subscription: Subscription
    change: SubscriptionChange
    fees: list[BookedFee] = field(default_factory=list)
    usage: Decimal = ZERO


def move(
    subscription: Subscription,
    at: At,
    now: datetime,
    note: Callable[[Subscription, Timeline, datetime], SubscriptionChange],
) -> Moved:
    """Change a subscription as of `at`, in one transaction (or a part of the caller's).

    `note` checks, under the lock, what is to change and gives its row, not stored yet. Fees are booked, forth
    and back, as far as they are due by `now`; usage from `at` on that was charged already is rated anew.
    """
    with open_book(subscription.billing_entity, now) as book:
        row = locked(subscription)
        _ensure_period(row, max(now, row.starts_at))
        at = instant_of(row, at, now)
        before = timelines_of([row])[row.pk]
        change = note(row, before, at)
        if change.version is not None:
            withdraw_ramp(row, at)
        record(row, change, now)
        if change.version is not None:
            schedule_ramp(row, change.version, at, now)
        timeline = timelines_of([row])[row.pk]
        refuse_overlap(row.billing_entity, parts_of(timeline, at), own=row)
        periods = reshape_periods(row, timeline, at)
        if at <= now:
            take_over(row, timeline, now)
        moved = Moved(row, change, settle(book, row, periods, now))
    release_payer_credits(row.billing_entity, now)
    if at <= now and (change.action != Action.CHANGE or change.version is not None):
        moved.usage = rerate_since(
            row,
            at,
            now,
            versions=(before.at(at).version, timeline.at(at).version),
            reason=change.reason or f"{change.action} of {row.public_id}",
        )
    return moved


def locked(subscription: Subscription) -> Subscription:
    """The subscription's row as it is now, locked, with what its timeline needs."""
    rows = Subscription.objects.select_related("version__plan", "billing_entity")
    return rows.select_for_update(of=("self",), no_key=True).get(pk=subscription.pk)


def instant_of(subscription: Subscription, at: At, now: datetime) -> datetime:
    """The instant that `at` means; not before the subscription starts. Its first period must exist."""
    begins = max(now, subscription.starts_at)
    if at is None:
        return begins
    if at != PERIOD_END:
        return max(at, subscription.starts_at)
    period = subscription.periods.filter(starts_at__lte=begins, ends_at__gt=begins).first()
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
    book: PayerBook, subscription: Subscription, periods: Iterable[BillingPeriod], now: datetime
) -> list[BookedFee]:
    """Bring the subscription's periods up to `now`, and book what these and those due anyway still lack."""
    open_next_periods([subscription.billing_entity], now)
    _ensure_period(subscription, now)
    due = due_fees(_concerned(subscription, periods, now), now)
    fees = book_fees({subscription.billing_entity_id: book}, due, now)
    move_on(due, now)
    return fees


def take_over(subscription: Subscription, timeline: Timeline, now: datetime) -> None:
    """Let the subscription's row say what its timeline says of now."""
    span = timeline.at(now)
    taken = quantity_keys(span.version)
    values: dict[str, Any] = {
        "version": span.version,
        "quantities": {key: plain(value) for key, value in span.quantities.items() if key in taken},
        "anchor_at": span.anchor_at,
    }
    if subscription.status in (Life.ACTIVE, Life.PAUSED):
        values["status"] = Life.PAUSED if span.is_paused else Life.ACTIVE
    changed = [name for name, value in values.items() if getattr(subscription, name) != value]
    for name in changed:
        setattr(subscription, name, values[name])
    if changed:
        subscription.save(update_fields=changed)


def _ensure_period(subscription: Subscription, instant: datetime) -> None:
    """Make the period that holds the instant where there is none; one statement where there is."""
    if not subscription.periods.filter(starts_at__lte=instant, ends_at__gt=instant).exists():
        ensure_segments([(subscription.pk, instant)])


def _concerned(
    subscription: Subscription, periods: Iterable[BillingPeriod], now: datetime
) -> Sequence[BillingPeriod]:
    begun = Q(pk__in=[period.pk for period in periods], starts_at__lte=now)
    rows = (BillingPeriod.objects.filter(begun) | due_periods(now)).filter(subscription=subscription)
    return list(rows.select_related("subscription__version", "subscription__billing_entity"))
