"""Changing a running subscription: another version, other quantities, a pause and its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.payers import refuse_closed
from billing.subscriptions.checks import check_fit, checked_quantities
from billing.subscriptions.moving import (
    At,
    Moved,
    Wanted,
    move,
    refuse_past,
    refuse_unless_running,
)
from billing.subscriptions.recording import Action
from core import clock
from core.errors import Conflict, InvalidRequest
from pricing.locked import Locked
from pricing.models import PlanVersion, Subscription, SubscriptionChange
from pricing.timeline import Timeline


def change_subscription(
    subscription: Subscription,
    *,
    version: PlanVersion | None = None,
    quantities: Mapping[str, Decimal] | None = None,
    at: At = None,
    reason: str = "",
) -> Subscription:
    """Put a subscription on another version, or change its quantities (those given; the others stay).

    At once by default, at `"period_end"`, or at an instant: later than now, the change is scheduled and holds
    from that instant on, whenever a worker comes to it; in the past, usage since then is rated anew. Fees in
    advance are booked back for what is unused and anew for what is left; usage from then on is rated in a new
    segment whose counters begin at zero (a change of quantities alone leaves the counters as they are).
    Another interval or anchor starts a new cycle. Works inside the caller's transaction too.

    Raises InvalidRequest when nothing is given, Unprocessable for what does not fit, Conflict when it is over
    by then, its period is closed, or another subscription of the payer prices one of the meters.
    """
    return move_to(subscription, version=version, quantities=quantities, at=at, reason=reason).subscription


def move_to(
    subscription: Subscription,
    *,
    version: PlanVersion | None = None,
    quantities: Mapping[str, Decimal] | None = None,
    at: At = None,
    reason: str = "",
) -> Moved:
    """The same; gives what was booked with it."""
    return move(wanted_change(subscription, version, quantities, at=at, reason=reason), clock.now())


def wanted_change(
    subscription: Subscription,
    version: PlanVersion | None,
    quantities: Mapping[str, Decimal] | None = None,
    *,
    at: At = None,
    reason: str = "",
) -> Wanted:
    """The same as one of the changes of `move_many`."""
    if version is None and not quantities:
        raise InvalidRequest("required", "Give plan_version or quantities.", "plan_version")

    def note(
        locked: Locked, timeline: Timeline, instant: datetime, target: PlanVersion | None
    ) -> SubscriptionChange:
        refuse_closed(locked.row.billing_entity)
        refuse_unless_running(locked.row, instant)
        if target is not None:
            check_fit(locked.row.billing_entity, target)
        kept = checked_quantities(target or timeline.at(instant).version, quantities or {})
        return SubscriptionChange(
            action=Action.CHANGE, at=instant, version=target, quantities=kept, reason=reason
        )

    return Wanted(subscription, at, note, version)


def pause_subscription(subscription: Subscription, *, at: At = None, reason: str = "") -> Subscription:
    """Let a subscription rest from `at` (default now; not in the past) until it is resumed.

    While it does, charges are denied (`no_subscription`), reported usage is recorded as unpriced, and fees
    with `prorate` are not due; billing periods go on. Raises PermissionDenied for a closed payer, Conflict
    when it is paused already or over by then.
    """
    now = clock.now()
    refuse_past(at, now)

    def note(locked: Locked, timeline: Timeline, instant: datetime, _: Any) -> SubscriptionChange:
        refuse_closed(locked.row.billing_entity)
        refuse_unless_running(locked.row, instant)
        if timeline.at(instant).is_paused:
            raise Conflict("paused_already", "The subscription is paused then.", "at")
        return SubscriptionChange(action=Action.PAUSE, at=instant, reason=reason)

    return move(Wanted(subscription, at, note), now).subscription


def resume_subscription(subscription: Subscription, *, at: At = None, reason: str = "") -> Subscription:
    """End a pause at `at` (default now; not in the past): fees are due again for what is left of the period.

    Usage is rated in a new segment. Raises PermissionDenied for a closed payer, Conflict when it is not
    paused then, or when another subscription of the payer has come to price one of its meters.
    """
    now = clock.now()
    refuse_past(at, now)

    def note(locked: Locked, timeline: Timeline, instant: datetime, _: Any) -> SubscriptionChange:
        refuse_closed(locked.row.billing_entity)
        refuse_unless_running(locked.row, instant)
        if not timeline.at(instant).is_paused:
            raise Conflict("not_paused", "The subscription is not paused then.", "at")
        return SubscriptionChange(action=Action.RESUME, at=instant, reason=reason)

    return move(Wanted(subscription, at, note), now).subscription
