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
    """A version; `running` counts the subscriptions on it now. `before`: what it followed or derives from."""

    version: PlanVersion
    running: int
    before: PlanVersion | None = None

    @property
    def label(self) -> str:
        """What pages call it."""
        return version_label(self.version)


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan with its own versions, the newest first, and what is derived from them.

    `derived`: contracts of single customers, and phases of ramps.
    """

    plan: Plan
    versions: tuple[VersionRow, ...]
    derived: tuple[VersionRow, ...] = ()

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
        """The subscriptions on all of its versions, contracts too."""
        return sum(row.running for row in (*self.versions, *self.derived))

    @property
    def behind(self) -> int:
        """The subscriptions that are on an older version than the newest."""
        latest = self.latest
        return sum(row.running for row in self.versions if latest and row.version.number < latest.number)


def version_label(version: PlanVersion) -> str:
    """`v2`, `v2, phase 1`, or `contract 1 of Acme`: what pages call a version beside its plan's name."""
    name = f"v{version.number}"
    if version.customer is not None:
        name = f"contract {version.number} of {version.customer.name}"
    return name if version.phase is None else f"{name}, phase {version.phase}"


def with_labels(versions: QuerySet[PlanVersion]) -> list[tuple[PlanVersion, str]]:
    """Versions with what pages call them; one statement."""
    return [(version, version_label(version)) for version in versions.select_related("plan", "customer")]


def plan_rows(viewer: Viewer, now: datetime, plans: Iterable[Plan] | None = None) -> list[PlanRow]:
    """The plans (None: all), by key; three statements."""
    chosen = list(Plan.objects.order_by("key") if plans is None else plans)
    versions = visible(PlanVersion, viewer).filter(plan__in=chosen).select_related("customer", "base")
    found: dict[int, list[PlanVersion]] = defaultdict(list)
    derived: dict[int, list[PlanVersion]] = defaultdict(list)
    for version in versions.defer("content", "base__content").order_by("-number", "customer__name", "phase"):
        (found if version.base_id is None else derived)[version.plan_id].append(version)
    counts = running_counts(viewer, now)
    return [
        PlanRow(
            plan,
            tuple(
                VersionRow(one, counts.get(one.pk, 0), before)
                for one, before in zip_longest(found[plan.pk], found[plan.pk][1:])
            ),
            tuple(VersionRow(one, counts.get(one.pk, 0), one.base) for one in derived[plan.pk]),
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
