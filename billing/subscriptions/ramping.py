"""The phases of a version's ramp, as scheduled changes of the subscriptions that are on it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from billing.subscriptions.recording import Action, Status
from pricing.locked import Locked
from pricing.models import PlanVersion, SubscriptionChange
from pricing.ramps import phase_starts
from pricing.terms import terms_of


def ramp_changes(
    locked: Locked, version: PlanVersion, since: datetime, *, after: datetime | None = None
) -> list[SubscriptionChange]:
    """The phases of a version that holds from `since` on, counted from then, as changes to be recorded.

    Of the phases that have begun by `since`, only the last one counts, from then on. `after`: only those that
    begin later.
    """
    zone = ZoneInfo(locked.row.billing_entity.time_zone)
    starts = phase_starts(terms_of(version), since, zone)
    phases = {row.phase: row for row in version.derived.filter(phase__isnull=False)} if starts else {}
    begun = sum(at <= since for at in starts)
    return [
        SubscriptionChange(
            action=Action.CHANGE,
            at=max(at, since),
            version=phases[number],
            reason=f"phase {number} of {version}",
        )
        for number, at in enumerate(starts, start=1)
        if number >= begun and (after is None or at > after)
    ]


def restored_ramp(locked: Locked, at: datetime) -> list[SubscriptionChange]:
    """The phases after `at` of the version that holds then, as it does after all, to be recorded again."""
    timeline = locked.timeline()
    held = timeline.at(at).version
    base = held if held.base is None or held.phase is None else held.base
    since = at
    for span in reversed(timeline.spans):
        if span.starts_at <= at:
            if base.pk not in (span.version.pk, span.version.base_id):
                break
            since = span.starts_at
    return ramp_changes(locked, base, since, after=at)


def withdraw_ramps(wanted: Iterable[tuple[Locked, datetime]]) -> None:
    """Take back the phases that were to begin from an instant on: another version holds from then on."""
    gone = []
    for locked, since in wanted:
        phases = [change for change in locked.changes if _is_phase_to_come(change, since)]
        locked.changes = [change for change in locked.changes if change not in phases]
        gone += [change.pk for change in phases]
    if gone:
        SubscriptionChange.objects.filter(pk__in=gone).update(status=Status.WITHDRAWN)


def _is_phase_to_come(change: SubscriptionChange, since: datetime) -> bool:
    is_to_come = change.status == Status.SCHEDULED and change.at >= since
    return is_to_come and change.version is not None and change.version.phase is not None
