"""What plan files would change: each plan against its latest published version, and whom that touches.

Nothing is written: the files are applied as `apply_catalog` does it, and then undone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from core import clock
from core.ids import public_id
from core.numbers import plain
from pricing.applied import Action, Applied
from pricing.catalog import Catalog, PlanTerms
from pricing.catalog.diff import Change, VersionDiff, diff_contents
from pricing.models import Plan, PlanVersion, Subscription
from pricing.plans import apply_catalog
from pricing.revenue import PartRevenue, VersionRevenue, version_revenue
from pricing.versions import latest_published

NOBODY = VersionRevenue(0, {}, {})


@dataclass(frozen=True, slots=True)
class PlanDiff:
    """One plan of the files against `against`, its latest published version (None: there is none).

    `revenue` is that of `against`'s running subscriptions; `elsewhere` is how many run on other versions of
    the plan, contracts too: publishing moves neither those nor these.
    """

    key: str
    currency: str
    against: PlanVersion | None
    diff: VersionDiff
    revenue: VersionRevenue
    elsewhere: int

    def touched_by(self, change: Change) -> PartRevenue:
        """How many subscriptions paid for what the change is about, and how much in their last period."""
        return self.revenue.touched_by(change)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "plan": self.key,
            "currency": self.currency,
            "against": None if self.against is None else public_id("pv", self.against.pk),
            "against_number": None if self.against is None else self.against.number,
            "subscriptions": self.revenue.subscriptions,
            "subscriptions_elsewhere": self.elsewhere,
            "revenue": plain(self.revenue.total),
            "changes": [self._change(change) for change in self.diff.changes],
        }

    def _change(self, change: Change) -> dict[str, Any]:
        touched = self.touched_by(change)
        return change.as_dict() | {
            "subscriptions": touched.subscriptions,
            "revenue": plain(touched.revenue),
        }


@dataclass(frozen=True, slots=True)
class CatalogDiff:
    """What a set of plan files would change; `others` are its meters, cost rates and coupons."""

    plans: tuple[PlanDiff, ...]
    others: tuple[Applied, ...]

    @property
    def has_changes(self) -> bool:
        """Whether anything is different from what is published."""
        return any(plan.diff for plan in self.plans) or any(
            other.action is not Action.UNCHANGED for other in self.others
        )

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "has_changes": self.has_changes,
            "plans": [plan.as_dict() for plan in self.plans],
            "others": [
                {"noun": other.noun, "key": other.key, "action": other.action.value} for other in self.others
            ],
        }


def diff_catalog(catalog: Catalog) -> CatalogDiff:
    """What the files would change. Raises CatalogError when they could not be applied."""
    with transaction.atomic():
        applied = apply_catalog(catalog)
        transaction.set_rollback(True)
    plans = Plan.objects.in_bulk(list(catalog.plans), field_name="key")
    return CatalogDiff(
        tuple(diff_plan(terms, plans.get(key)) for key, terms in catalog.plans.items()),
        tuple(one for one in applied if one.noun != "plan"),
    )


def diff_plan(terms: PlanTerms, plan: Plan | None) -> PlanDiff:
    """One plan's terms against what is published of it, and whom the changes touch."""
    against = None if plan is None else latest_published(plan)
    diff = diff_contents(None if against is None else against.content, terms.content())
    now = clock.now()
    running = Subscription.objects.exclude(status=Subscription.Status.ENDED).filter(
        version__plan__key=terms.key, starts_at__lte=now
    )
    others = running.exclude(ends_at__lte=now).exclude(version=against)
    return PlanDiff(
        key=terms.key,
        currency=terms.currency,
        against=against,
        diff=diff,
        revenue=NOBODY if against is None else version_revenue(against, now),
        elsewhere=others.count(),
    )
