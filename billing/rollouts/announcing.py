"""From a draft to an announced price change: who moves and when is fixed, customers are told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from billing.rollouts.cohort import Candidate, Cohort, candidates, check_distance
from billing.rollouts.locking import lock_rollout
from billing.rollouts.notices import send_notices
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest, Unprocessable
from core.ids import public_id
from core.instants import instant_text
from pricing.models import PlanVersion, Rollout, RolloutMember
from pricing.rollouts import WAITING, overages_between

Status, Timing = Rollout.Status, Rollout.Timing


def draft_rollout(
    version: PlanVersion,
    *,
    timing: str,
    name: str = "",
    cohort: Cohort | None = None,
    effective_at: datetime | None = None,
    notice_at: datetime | None = None,
    by: str = "",
) -> Rollout:
    """Plan a price change to `version`; nobody hears of it, nothing moves.

    `effective_at`: from when (default: when the least notice is over); not for `immediately`. `notice_at`:
    when customers are told (default: with the announcement).
    """
    if timing == Timing.IMMEDIATELY and effective_at is not None:
        raise InvalidRequest("not_applicable", "immediately means at the announcement.", "effective_at")
    now = clock.now()
    check_distance(effective_at, now, "effective_at")
    check_distance(notice_at, now, "notice_at")
    if notice_at is not None and effective_at is not None and notice_at > effective_at:
        raise InvalidRequest("invalid_period", "Notice comes before the change.", "notice_at")
    return Rollout.objects.create(
        name=name or f"{version.plan.key} v{version.number}",
        version=version,
        cohort=(cohort or Cohort()).content(),
        timing=timing,
        effective_at=effective_at,
        notice_at=notice_at,
        created_at=now,
        created_by=by,
    )


def announce_rollout(rollout: Rollout, *, reason: str = "", by: str = "") -> Rollout:
    """Fix who moves and when, and tell the customers, at once or at `notice_at`.

    `reason`: why there is less notice than ROLLOUT_NOTICE_MIN. Raises Conflict unless it is a draft, or
    when a subscription waits for another price change; Unprocessable for a version that is not published,
    an empty cohort, or less notice without a reason.
    """
    now = clock.now()
    with transaction.atomic():
        rollout = lock_rollout(rollout, Status.DRAFT)
        version = PlanVersion.objects.select_related("plan").get(rollouts=rollout)
        if version.status != PlanVersion.Status.PUBLISHED:
            says = f"{version} is {version.status}: subscriptions move to published ones."
            raise Unprocessable("not_published", says, "plan_version")
        rollout.notice_at = max(rollout.notice_at or now, now)
        rollout.effective_at = _effective_at(rollout, now)
        found = candidates(rollout, rollout.effective_at, now)
        return announce_to(rollout, found, reason=reason, by=by, now=now)


@dataclass(frozen=True, slots=True)
class CohortPreview:
    """Whom a draft would move: so many, between these instants. `overages` by from-version."""

    subscriptions: int
    customers: int
    first_effective_at: datetime | None
    last_effective_at: datetime | None
    needs_reason: bool
    overages: dict[str, Any]


def preview_cohort(rollout: Rollout) -> CohortPreview:
    """What announcing a draft now would fix; raises Conflict unless it is one. Writes nothing."""
    now = clock.now()
    if rollout.status != Status.DRAFT:
        raise Conflict("not_draft", f"{rollout.public_id} is {rollout.status}.")
    rollout.notice_at = max(rollout.notice_at or now, now)
    found = candidates(rollout, _effective_at(rollout, now), now)
    instants = [one.effective_at for one in found]
    first = min(instants, default=None)
    return CohortPreview(
        subscriptions=len(found),
        customers=len({one.subscription.customer_id for one in found}),
        first_effective_at=first,
        last_effective_at=max(instants, default=None),
        needs_reason=first is not None and _is_short(rollout.notice_at, first),
        overages=_overage_content(_overages(found)),
    )


def announce_to(rollout: Rollout, found: list[Candidate], *, reason: str, by: str, now: datetime) -> Rollout:
    """Announce to these; the rest of `announce_rollout`, in a transaction of the caller's."""
    if not found:
        raise Unprocessable("empty_cohort", "No running subscription is in this cohort.", "cohort")
    _refuse_short_notice(rollout, found, reason)
    _refuse_others(found)
    overages = _overages(found)
    rollout.reason = reason
    rollout.overages = _overage_content(overages)
    rollout.introduces_overage = bool(rollout.overages)
    rollout.status, rollout.announced_at, rollout.announced_by = Status.ANNOUNCED, now, by
    rollout.save()
    RolloutMember.objects.bulk_create(
        [
            RolloutMember(
                rollout=rollout,
                customer_id=one.subscription.customer_id,
                billing_entity_id=one.subscription.billing_entity_id,
                subscription=one.subscription,
                from_version_id=one.subscription.version_id,
                to_version=one.to_version,
                introduces_overage=bool(overages[one.subscription.version, one.to_version]),
                effective_at=one.effective_at,
            )
            for one in found
        ]
    )
    assert rollout.notice_at is not None
    if rollout.notice_at <= now:
        send_notices(rollout, now)
    return rollout


def _effective_at(rollout: Rollout, now: datetime) -> datetime:
    if rollout.timing == Timing.IMMEDIATELY:
        return now
    assert rollout.notice_at is not None
    effective_at = rollout.effective_at or rollout.notice_at + settings.ROLLOUT_NOTICE_MIN
    if effective_at < now:
        raise Unprocessable("in_past", f"{instant_text(effective_at)} is over.", "effective_at")
    if effective_at < rollout.notice_at:
        raise Unprocessable("invalid_period", "Notice comes before the change.", "notice_at")
    return effective_at


def _refuse_short_notice(rollout: Rollout, found: Iterable[Candidate], reason: str) -> None:
    assert rollout.notice_at is not None
    first = min(one.effective_at for one in found)
    if _is_short(rollout.notice_at, first) and not reason:
        raise Unprocessable(
            "notice_too_short",
            f"The first subscription moves at {instant_text(first)}, less than"
            f" {settings.ROLLOUT_NOTICE_MIN.days} days after the notice: give a reason.",
            "reason",
        )


def _refuse_others(found: Iterable[Candidate]) -> None:
    pks = [one.subscription.pk for one in found]
    waiting = RolloutMember.objects.filter(WAITING, subscription_id__in=pks)
    other = waiting.order_by("pk").values_list("subscription_id", "rollout_id").first()
    if other is not None:
        subscription, rollout = public_id("sub", other[0]), public_id("ro", other[1])
        says = f"{subscription} waits for {rollout} already: one price change at a time."
        raise Conflict("in_another_rollout", says, "cohort")


def _is_short(notice_at: datetime, first: datetime) -> bool:
    minimum: timedelta = settings.ROLLOUT_NOTICE_MIN
    return first - notice_at < minimum


def _overages(found: Iterable[Candidate]) -> dict[tuple[PlanVersion, PlanVersion], Any]:
    pairs = {(one.subscription.version, one.to_version) for one in found}
    return {pair: overages_between(*pair) for pair in pairs}


def _overage_content(overages: dict[tuple[PlanVersion, PlanVersion], Any]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for (old, _), found in sorted(overages.items(), key=lambda pair: (pair[0][0].pk, pair[0][1].pk)):
        if found:
            content.setdefault(old.public_id, []).extend(overage.content() for overage in found)
    return content


explain_constraint(
    "one_price_change_at_a_time",
    Conflict,
    "in_another_rollout",
    "A subscription of this cohort waits for another price change: one at a time.",
    "cohort",
)
