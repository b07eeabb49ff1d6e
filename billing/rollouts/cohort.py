"""Who a price change is for: the cohort as it was asked for, resolved to subscriptions in one query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, Final

from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual

from billing.models import MarginBucket
from core.errors import InvalidRequest
from core.fields import AmountField
from core.ids import public_id, row_id
from core.numbers import ZERO, plain
from pricing.models import PlanVersion, Rollout, Subscription
from pricing.periods import cycle_of
from pricing.rollouts import OVER, on_version

REVENUE_WINDOW: Final = timedelta(days=30)
"""`min_revenue` and `max_revenue` are about what a payer brought in so long before the announcement."""

DISTANCE_MAX: Final = timedelta(days=3660)
"""How far ahead a price change may lie."""

PREFIXES: Final = {"plans": "plan", "from_versions": "pv", "customers": "cus", "subscriptions": "sub"}


@dataclass(frozen=True, slots=True)
class Cohort:
    """All that is given must hold; an empty list asks for nothing. Row ids; revenue in the payer's currency.

    Without plans, from-versions and subscriptions it is everybody on the new version's own plan. Contracts
    are meant only by naming them, or their subscriptions; a from-version means the phases of its ramp too.
    """

    plans: Sequence[int] = ()
    from_versions: Sequence[int] = ()
    customers: Sequence[int] = ()
    subscriptions: Sequence[int] = ()
    min_revenue: Decimal | None = None
    max_revenue: Decimal | None = None

    def content(self) -> dict[str, Any]:
        """For JSON, with public ids."""
        content: dict[str, Any] = {
            name: [public_id(prefix, pk) for pk in getattr(self, name)]
            for name, prefix in PREFIXES.items()
            if getattr(self, name)
        }
        for name in ("min_revenue", "max_revenue"):
            value = getattr(self, name)
            content |= {} if value is None else {name: plain(value)}
        return content

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Cohort:
        """The reverse of `content`."""
        rows = {
            name: [row_id(prefix, reference) for reference in content.get(name, ())]
            for name, prefix in PREFIXES.items()
        }
        revenue = {name: Decimal(content[name]) for name in ("min_revenue", "max_revenue") if name in content}
        return cls(**rows, **revenue)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subscription that would move, and when."""

    subscription: Subscription
    effective_at: datetime
    to_version: PlanVersion = field(repr=False)


def check_distance(instant: datetime | None, now: datetime, name: str) -> None:
    """Raise InvalidRequest for an instant too far ahead to have a calendar."""
    if instant is not None and instant - now > DISTANCE_MAX:
        raise InvalidRequest("out_of_range", f"{name} may be ten years from now at most.", name)


def candidates(rollout: Rollout, effective_at: datetime, now: datetime) -> list[Candidate]:
    """The running subscriptions that a rollout would move, by (customer, id); those that end first are not.

    `effective_at`: from when. Two statements, however many there are.
    """
    version = rollout.version
    assert version is not None
    found = []
    for subscription in _matching(Cohort.from_content(rollout.cohort), version, now):
        at = effective_for(subscription, rollout.timing, effective_at)
        if subscription.ends_at is None or at < subscription.ends_at:
            found.append(Candidate(subscription, at, version))
    return found


def effective_for(subscription: Subscription, timing: str, effective_at: datetime) -> datetime:
    """When a subscription moves: at once, or at the start of its next period from `effective_at` on."""
    if effective_at <= subscription.starts_at:
        return subscription.starts_at
    if timing != Rollout.Timing.AT_RENEWAL:
        return effective_at
    period = cycle_of(subscription).period_at(effective_at)
    return effective_at if period.start == effective_at else period.end


def _matching(cohort: Cohort, version: PlanVersion, now: datetime) -> QuerySet[Subscription]:
    goes_on = Q(ends_at=None) | Q(ends_at__gt=now)
    rows = Subscription.objects.filter(goes_on, version__plan__currency=version.plan.currency)
    rows = rows.exclude(on_version(version.pk)).exclude(status__in=OVER)
    rows = rows.select_related("version__plan", "billing_entity")
    if not (cohort.plans or cohort.from_versions or cohort.subscriptions):
        rows = rows.filter(version__plan=version.plan)
    if not (cohort.from_versions or cohort.subscriptions):
        rows = rows.filter(version__customer=None)
    if version.customer_id is not None:
        rows = rows.filter(customer=version.customer_id)
    if cohort.from_versions:
        rows = rows.filter(reduce(or_, map(on_version, cohort.from_versions)))
    named = (
        ("version__plan__in", cohort.plans),
        ("customer__in", cohort.customers),
        ("pk__in", cohort.subscriptions),
    )
    for lookup, pks in named:
        rows = rows.filter(**{lookup: list(pks)}) if pks else rows
    if cohort.min_revenue is not None:
        rows = rows.filter(GreaterThanOrEqual(_revenue(now), cohort.min_revenue))
    if cohort.max_revenue is not None:
        rows = rows.filter(LessThanOrEqual(_revenue(now), cohort.max_revenue))
    return rows.order_by("customer_id", "pk")


def _revenue(now: datetime) -> Coalesce:
    """What the subscription's payer brought in over the window that ends now."""
    buckets = MarginBucket.objects.filter(
        customer_id=OuterRef("customer_id"),
        billing_entity_id=OuterRef("billing_entity_id"),
        hour__gte=now - REVENUE_WINDOW,
        hour__lt=now,
    )
    summed = buckets.order_by().values("billing_entity_id").annotate(total=Sum("revenue")).values("total")
    return Coalesce(Subquery(summed), ZERO, output_field=AmountField())
