"""Plans and versions with how many subscriptions run on each; a handful of statements, however many."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest

from django.db.models import Count, Q, QuerySet

from accounts.scoping import Viewer, visible
from pricing.models import Plan, PlanVersion, Subscription

DRAFT = PlanVersion.Status.DRAFT


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version; `running` counts the subscriptions that are on it now. `before`: the one before it."""

    version: PlanVersion
    running: int
    before: PlanVersion | None = None


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan with its versions, the newest first."""

    plan: Plan
    versions: tuple[VersionRow, ...]

    @property
    def latest(self) -> PlanVersion | None:
        """The newest version that was published."""
        return next((row.version for row in self.versions if row.version.status != DRAFT), None)

    @property
    def draft(self) -> PlanVersion | None:
        """What is not published yet."""
        return next((row.version for row in self.versions if row.version.status == DRAFT), None)

    @property
    def running(self) -> int:
        """The subscriptions on all of its versions."""
        return sum(row.running for row in self.versions)

    @property
    def behind(self) -> int:
        """The subscriptions that are on an older version than the newest."""
        latest = self.latest
        return sum(row.running for row in self.versions if latest and row.version.number < latest.number)


def plan_rows(viewer: Viewer, now: datetime, plans: Iterable[Plan] | None = None) -> list[PlanRow]:
    """The plans (None: all), by key; three statements."""
    chosen = list(Plan.objects.order_by("key") if plans is None else plans)
    versions = PlanVersion.objects.filter(plan__in=chosen).defer("content").order_by("-number")
    found: dict[int, list[PlanVersion]] = defaultdict(list)
    for version in versions:
        found[version.plan_id].append(version)
    counts = running_counts(viewer, now)
    return [
        PlanRow(
            plan,
            tuple(
                VersionRow(one, counts.get(one.pk, 0), before)
                for one, before in zip_longest(found[plan.pk], found[plan.pk][1:])
            ),
        )
        for plan in chosen
    ]


def running_counts(viewer: Viewer, now: datetime) -> Mapping[int, int]:
    """Version id -> how many subscriptions run on it at `now`; one statement."""
    counted = running_subscriptions(viewer, now).values("version_id").annotate(number=Count("pk"))
    return {row["version_id"]: row["number"] for row in counted.order_by()}


def running_subscriptions(viewer: Viewer, now: datetime) -> QuerySet[Subscription]:
    """The subscriptions that have begun and not ended at `now`."""
    begun = visible(Subscription, viewer).filter(starts_at__lte=now)
    return begun.filter(Q(ends_at=None) | Q(ends_at__gt=now))
