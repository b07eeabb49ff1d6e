"""A price change over many payers, and what must hold of it whoever worked on it and however they ended."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.db.models import Count

from billing.models import OutboxMessage
from billing.rollouts import Cohort, announce_rollout, draft_rollout
from core import clock
from metering.models import Meter
from pricing.models import PlanVersion, Rollout, RolloutMember, Segment, Subscription, SubscriptionChange
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

State = RolloutMember.State


@dataclass
class PriceChange:
    """An announced rollout that is due at once, and whom it is for."""

    rollout: Rollout
    tenants: list[Tenant]
    old: PlanVersion
    new: PlanVersion

    def moved(self) -> int:
        """How many have been moved."""
        return RolloutMember.objects.filter(rollout=self.rollout, state=State.MOVED).count()

    def check_moved_once(self) -> None:
        """Everybody is moved, by one change, one segment and one audited step; each was told once."""
        size = len(self.tenants)
        self.rollout.refresh_from_db()
        assert self.rollout.status == Rollout.Status.DONE
        assert self.moved() == size
        assert Subscription.objects.filter(version=self.new).count() == size
        changes = SubscriptionChange.objects.filter(action="change", version=self.new, status="applied")
        assert _counts(changes, "subscription_id") == [1] * size
        assert _counts(Segment.objects.filter(version=self.new), "subscription_id") == [1] * size
        steps = _steps_into(State.MOVED, _events(RolloutMember).filter(rollout_id=self.rollout.pk))
        assert sorted(steps) == sorted(self.rollout.members.values_list("pk", flat=True))
        events = _events(Subscription).filter(version_id=self.new.pk)
        assert _counts(events, "pgh_obj_id") == [1] * size
        assert _counts(OutboxMessage.objects.filter(kind="rollout.notice"), "customer_id") == [1] * size


def make_price_change(size: int, *, prices: tuple[str, str] = ("1", "2"), **payer: Any) -> PriceChange:
    """A rollout of so many subscriptions, announced; it is due now."""
    if not Meter.objects.filter(key="tokens").exists():
        make_meter()
    part = {"key": "tok", "meter": "tokens", "model": "per_unit"}
    old, new = (make_version([part | {"unit_price": price}]) for price in prices)
    since = clock.now() - timedelta(days=40)
    tenants = [make_tenant(old, starts_at=since, **payer) for _ in range(size)]
    rollout = draft_rollout(new, timing="immediately", cohort=Cohort(from_versions=[old.pk]))
    return PriceChange(announce_rollout(rollout, reason="a test"), tenants, old, new)


def _events(model: Any) -> Any:
    name = f"{model.__name__}Event"
    return apps.get_model(model._meta.app_label, name)._default_manager.all()


def _steps_into(state: str, events: Any) -> list[int]:
    """Whose audited steps came into a state. One that is there already may be told more, as an acceptance."""
    steps = []
    before: dict[int, str] = {}
    for member, now in events.order_by("pgh_id").values_list("pgh_obj_id", "state"):
        if now == state != before.get(member):
            steps.append(member)
        before[member] = now
    return steps


def _counts(rows: Any, column: str) -> list[int]:
    counted = rows.order_by().values(column).annotate(number=Count("pk"))
    return [row["number"] for row in counted]
