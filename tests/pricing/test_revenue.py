"""What a version's subscriptions brought in their last period: equal to what was charged and booked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.charging import Charged
from billing.models import MarginBucket
from billing.periods import book_base_fees
from billing.subscriptions import cancel_subscription, start_subscription
from core import clock
from pricing.catalog.diff import Change, Kind
from pricing.contracts import create_contract
from pricing.models import PlanVersion, Subscription
from pricing.revenue import PartRevenue, version_revenue
from pricing.versions import publish_version
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
TOK: dict[str, Any] = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}


class Calendar:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = MARCH
        clock.use(lambda: self.now)
        self._keys = iter(range(1000))

    def at(self, month: int, day: int) -> None:
        self.now = datetime(2026, month, day, 12, tzinfo=UTC)

    def start(self, version: PlanVersion, **payer: Any) -> Tenant:
        """A payer that starts on the version now."""
        tenant = make_tenant(settlement="invoice_only", **payer)
        tenant.subscription = start_subscription(tenant.payer, version)
        return tenant

    def use(self, tenant: Tenant, tokens: int, **properties: str) -> Decimal:
        """One call, and what it cost."""
        outcome = charge(tenant, f"k{next(self._keys)}", properties={"tokens": tokens} | properties)
        assert isinstance(outcome, Charged)
        return outcome.amount


@pytest.fixture
def calendar() -> Iterator[Calendar]:
    make_meter(group_by=["model"])
    yield Calendar()
    clock.use(None)


def test_usage_of_the_last_period_that_has_ended_is_summed_by_component(calendar: Calendar) -> None:
    version = make_version([TOK])
    one, two, idle = (calendar.start(version) for _ in range(3))
    calendar.at(3, 10)
    brought = calendar.use(one, 1000) + calendar.use(one, 50) + calendar.use(two, 7)
    calendar.at(4, 10)
    book_base_fees(clock.now())
    calendar.use(one, 999_999)  # the running period does not count
    found = version_revenue(version, clock.now())
    assert found.subscriptions == 3
    assert found.components == {"tok": PartRevenue(2, brought)}
    assert found.total == brought == Decimal("10.57")
    assert idle.subscription is not None


def test_while_no_period_has_ended_the_running_one_counts(calendar: Calendar) -> None:
    version = make_version([TOK])
    tenant = calendar.start(version)
    calendar.at(3, 10)
    calendar.use(tenant, 100)
    assert version_revenue(version, clock.now()).components == {"tok": PartRevenue(1, Decimal(1))}


def test_base_fees_are_those_that_were_booked(calendar: Calendar) -> None:
    fees = [
        {"key": "platform", "amount": "49", "prorate": True},
        {"key": "seats", "unit_amount": "10"},
        {"key": "support", "amount": "5", "timing": "in_arrears"},
    ]
    version = make_version([TOK], base_fees=fees)
    calendar.at(3, 17)
    tenant = make_tenant(settlement="invoice_only")
    start_subscription(tenant.payer, version, quantities={"seats": Decimal(4)})
    running = version_revenue(version, clock.now()).base_fees
    assert set(running) == {"platform", "seats"}  # what is paid in arrears is not booked yet
    calendar.at(4, 2)
    book_base_fees(clock.now())
    found = version_revenue(version, clock.now()).base_fees
    assert (found["seats"], found["support"]) == (PartRevenue(1, Decimal(40)), PartRevenue(1, Decimal(5)))
    booked = MarginBucket.objects.filter(event="base_fee", hour__lte=APRIL).values_list("revenue", flat=True)
    in_april = Decimal(49) + Decimal(40)
    assert sum((part.revenue for part in found.values()), Decimal(0)) == sum(booked) - in_april


@pytest.mark.parametrize(
    "component",
    [
        TOK | {"discount_percent": "33.33"},
        TOK | {"maximum": "2.5"},
        TOK | {"included": "300"},
        TOK | {"group_by": ["model"]},
        TOK | {"group_by": ["model"], "discount_percent": "10", "maximum": "5"},
        TOK | {"unit_price": "0.000000000000000001", "discount_percent": "50"},
        {"key": "tok", "meter": "tokens", "model": "percentage", "rate": "0.029", "fixed_fee": "0.3"},
        {
            "key": "tok",
            "meter": "tokens",
            "model": "volume",
            "tiers": [{"up_to": "500", "unit_price": "0.02"}, {"up_to": None, "unit_price": "0.001"}],
        },
        {
            "key": "tok",
            "meter": "tokens",
            "model": "matrix",
            "dimensions": ["model"],
            "cells": [{"match": {"model": "a"}, "unit_price": "0.5"}],
            "default_unit_price": "0.1",
        },
    ],
    ids=str,
)
def test_it_equals_the_charges_whatever_the_model(calendar: Calendar, component: dict[str, Any]) -> None:
    version = make_version([component])
    tenants = [calendar.start(version) for _ in range(2)]
    calendar.at(3, 10)
    brought = Decimal(0)
    for tenant in tenants:
        for tokens, model in ((123, "a"), (456, "b"), (77, "a")):
            brought += calendar.use(tenant, tokens, model=model)
    assert version_revenue(version, clock.now()).components["tok"] == PartRevenue(2, brought)


def test_a_period_spent_on_an_older_version_counts_by_the_key_of_the_component(calendar: Calendar) -> None:
    old = make_version([TOK])
    tenant = calendar.start(old)
    calendar.at(3, 10)
    brought = calendar.use(tenant, 100)
    calendar.at(4, 1)
    draft = PlanVersion.objects.create(
        plan=old.plan, number=2, content=old.content, content_hash="x", created_at=clock.now()
    )
    new = publish_version(draft)
    Subscription.objects.update(version=new)
    calendar.at(4, 2)
    assert version_revenue(new, clock.now()).components == {"tok": PartRevenue(1, brought)}
    assert version_revenue(old, clock.now()).subscriptions == 0


def test_who_has_not_begun_or_is_over_does_not_count(calendar: Calendar) -> None:
    version = make_version([TOK])
    over = calendar.start(version)
    assert over.subscription is not None
    start_subscription(make_tenant().payer, version, starts_at=datetime(2026, 6, 1, tzinfo=UTC))
    calendar.at(3, 10)
    calendar.use(over, 100)
    cancel_subscription(over.subscription)
    calendar.at(3, 11)
    found = version_revenue(version, clock.now())
    assert (found.subscriptions, found.total) == (0, Decimal(0))


def test_a_contract_is_counted_by_itself(calendar: Calendar) -> None:
    version = make_version([TOK])
    tenant = make_tenant(settlement="invoice_only")
    contract = create_contract(version, tenant.customer, {"components": {"tok": {"unit_price": "0.005"}}})
    start_subscription(tenant.payer, contract)
    calendar.at(3, 10)
    brought = calendar.use(tenant, 100)
    assert version_revenue(version, clock.now()).subscriptions == 0
    assert version_revenue(contract, clock.now()).components == {"tok": PartRevenue(1, brought)}


def test_a_change_touches_its_part_or_the_whole_plan(calendar: Calendar) -> None:
    version = make_version([TOK], base_fees=[{"key": "platform", "amount": "49"}])
    one, _ = calendar.start(version), calendar.start(version)
    calendar.at(3, 10)
    calendar.use(one, 100)
    found = version_revenue(version, clock.now())

    def touched(section: str, part: str | None) -> PartRevenue:
        return found.touched_by(Change(section, part, section, Kind.CHANGED, "a", "b"))

    assert touched("components", "tok") == PartRevenue(1, Decimal(1))
    assert touched("components", "new") == PartRevenue(0, Decimal(0))
    assert touched("base_fees", "platform") == PartRevenue(2, Decimal(98))
    assert touched("base_fees", "new") == PartRevenue(0, Decimal(0))
    assert touched("entitlements", "sso") == PartRevenue(2, Decimal(0))
    assert touched("minimum_spend", None) == PartRevenue(2, Decimal(99))


def test_the_number_of_statements_does_not_grow_with_subscriptions(calendar: Calendar) -> None:
    version = make_version([TOK], base_fees=[{"key": "platform", "amount": "49"}])

    def statements() -> int:
        with CaptureQueriesContext(connection) as captured:
            version_revenue(version, clock.now())
        return len(captured)

    calendar.start(version)
    few = statements()
    for _ in range(5):
        calendar.start(version)
    assert statements() == few <= 4
