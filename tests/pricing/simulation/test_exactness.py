"""Simulating what a customer was really on gives what was really charged, to the last decimal."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.subscriptions import change_subscription
from core import clock
from metering.models import UsageEvent
from pricing.cycles import Period
from pricing.simulation import Cohort, compile_content, simulate
from tests.billing.world import START, make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.pricing.simulation.world import (
    JANUARY,
    MODELS,
    charged,
    components,
    event,
    make_meters,
    report,
    run,
)
from tests.properties.conftest import PROFILE

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
HOURS = st.integers(0, 30 * 24 * 4)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "quarters": HOURS,
            "tokens": st.decimals("-2", "9", places=1),
            "region": st.sampled_from(["eu", "us", None]),
            "person": st.sampled_from(["a", "b", 3]),
        }
    ),
    max_size=25,
)
january = standing_at(NOW)


def usage(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events as drawn: they come in any order of time, as late ones do."""
    return [
        event(
            f"k{number}",
            START + timedelta(minutes=15 * one["quarters"], seconds=number),
            str(one["tokens"]),
            region=one["region"],
            person=one["person"],
        )
        for number, one in enumerate(drawn)
    ]


@pytest.mark.django_db
@given(data=st.data())
@settings(PROFILE)
def test_any_mix_of_models_comes_to_what_was_charged(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(MODELS)), min_size=1, max_size=5, unique=True))
    zone = data.draw(st.sampled_from(["UTC", "Asia/Kathmandu", "America/Bogota"]))
    starts_at = START + timedelta(minutes=data.draw(st.integers(0, 3000)))
    frozen_at = START + timedelta(hours=data.draw(st.integers(-48, 20 * 24)))
    with transaction.atomic():
        clock.use(lambda: frozen_at)
        make_meters()
        version = make_version(components(*names))
        tenant = make_tenant(version, starts_at=starts_at, time_zone=zone)
        clock.use(lambda: NOW)
        report(tenant, *usage(data.draw(EVENTS)))
        (result,) = run(version)
        assert result.current.amount == charged(tenant)
        assert result.simulated[0] is not None
        assert result.simulated[0].lines == result.current.lines
        transaction.set_rollback(True)


@pytest.mark.django_db
@pytest.mark.parametrize("name", MODELS)
def test_windows_that_follow_each_other_add_up(name: str) -> None:
    make_meters()
    version = make_version(components(name))
    tenant = make_tenant(version)
    events = [
        event(f"k{day}", START + timedelta(days=day, minutes=37), str(day % 5), region="eu", person=day % 3)
        for day in range(20)
    ]
    report(tenant, *events)
    for middle in (START + timedelta(days=7, minutes=40), START + timedelta(days=12)):
        parts = [Period(JANUARY.start, middle), Period(middle, JANUARY.end)]
        amounts = [run(version, window=part)[0].current.amount for part in parts]
        assert amounts == [charged(tenant, part) for part in parts]
        assert sum(amounts) == charged(tenant)


@pytest.mark.django_db
def test_the_current_side_follows_the_versions_that_were() -> None:
    make_meters()
    old, new = make_version(components("graduated")), make_version(components("package"))
    tenant = make_tenant(old)
    report(tenant, event("a", START + timedelta(days=1), "12"))
    assert tenant.subscription is not None
    change_subscription(tenant.subscription, version=new, at=START + timedelta(days=10))
    report(tenant, event("b", START + timedelta(days=12), "12"))
    (result,) = run(new)
    # Graduated: 12 less 2 included, at 1. Package: two packages of 7, begun at 12.
    assert result.current.lines == {"graduated": Decimal(10), "package": Decimal(4)}
    assert result.current.amount == charged(tenant) == Decimal(14)
    # As if it had been on the new version all along: 24 units are four packages.
    assert result.simulated[0] is not None
    assert result.simulated[0].amount == Decimal(8)


@pytest.mark.django_db
def test_a_meter_that_came_later_is_counted_from_stored_events() -> None:
    make_meters()
    tenant = make_tenant(make_version(components("per_unit")))
    report(tenant, *[event(f"k{n}", START + timedelta(days=n), "3", model=f"m{n % 2}") for n in range(10)])
    make_meter("models", aggregation="count", group_by=["model"], created_at=NOW)
    draft = make_version(
        [{"key": "m", "meter": "models", "model": "per_unit", "unit_price": "2", "group_by": ["model"]}]
    )
    (result,) = run(draft)
    assert result.current.amount == Decimal("0.3")
    assert result.simulated[0] is not None
    assert result.simulated[0].amount == Decimal(20)
    assert result.difference(0) == Decimal("19.7")


@pytest.mark.django_db
def test_contents_may_define_a_meter_each_in_its_own_way() -> None:
    make_meters()
    version = make_version(components("per_unit"))
    tenant = make_tenant(version)
    report(tenant, *[event(f"k{n}", START + timedelta(days=n), "3") for n in range(4)])

    def content(**meter: Any) -> dict[str, Any]:
        price = {"key": "c", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
        meters = [{"key": "tokens", "event": "completion", **meter}]
        return {"plan": "p", "currency": "USD", "components": [price], "meters": meters}

    contents = [
        compile_content(content(aggregation="count")),
        compile_content(content(aggregation="sum", property="tokens")),
        compile_content(content(aggregation="max", property="tokens")),
    ]
    (result,) = simulate(contents, Cohort(), JANUARY)
    assert [bill and bill.amount for bill in result.simulated] == [4, 12, 3]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("aggregation", "amount"),
    [("min", "2"), ("avg", "3.5"), ("latest", "5"), ("weighted_sum", "4.580645161290")],
)
def test_what_settles_at_the_close_is_priced_by_the_whole_period(aggregation: str, amount: str) -> None:
    make_meters()
    make_meter("level", aggregation=aggregation, property_path="tokens")
    tenant = make_tenant(make_version(components("per_unit")))
    # The level is 2, and 5 more in the last 16 of 31 days: 2 + 5 x 16/31 on the mean.
    report(tenant, event("a", START, "2"), event("b", START + timedelta(days=15), "5"))
    price = [{"key": "c", "meter": "level", "model": "per_unit", "unit_price": "1"}]
    (result,) = run(make_version(price))
    assert result.simulated[0] is not None
    assert round(result.simulated[0].amount, 12) == Decimal(amount)


@pytest.mark.django_db
def test_a_level_is_carried_in_from_before_the_period() -> None:
    make_meters()
    make_meter("level", aggregation="weighted_sum", property_path="tokens", carry_over=True)
    tenant = make_tenant(make_version(components("per_unit")), starts_at=START - timedelta(days=60))
    report(tenant, event("a", START - timedelta(days=1), "4"), event("b", START, "3"))
    price = [{"key": "c", "meter": "level", "model": "per_unit", "unit_price": "1"}]
    (result,) = run(make_version(price))
    assert result.simulated[0] is not None
    assert result.simulated[0].amount == 7


@pytest.mark.django_db
def test_reversed_events_count_for_nothing() -> None:
    make_meters()
    version = make_version(components("percentage", "cost_plus"))
    tenant = make_tenant(version)
    report(tenant, event("a", START, "9"), event("b", START, "5"))
    reversed_one = UsageEvent.objects.get(idempotency_key="a").id
    (result,) = run(version, left_out=lambda payers, window: [reversed_one])
    # Of 5 the first 4 are free; 1 x 0.03 + 0.1. One event's cost of 0.01, and a quarter.
    assert result.current.lines == {"percentage": Decimal("0.13"), "cost_plus": Decimal("0.0125")}
