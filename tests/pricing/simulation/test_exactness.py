"""Simulating what a customer was really on gives what was really charged, to the last decimal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from core import clock
from pricing.cycles import Period
from pricing.models import Segment
from tests.billing.world import START, make_meter, make_tenant, make_version
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


@pytest.fixture(autouse=True)
def january() -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)


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
def test_the_current_side_follows_the_segments_that_were() -> None:
    make_meters()
    old, new = make_version(components("graduated")), make_version(components("package"))
    tenant = make_tenant(old)
    report(tenant, event("a", START + timedelta(days=1), "12"))
    middle = START + timedelta(days=10)
    first = Segment.objects.get()
    Segment.objects.filter(pk=first.pk).update(ends_at=middle)
    Segment.objects.create(
        customer=tenant.customer,
        subscription=first.subscription,
        version=new,
        period=first.period,
        starts_at=middle,
        ends_at=first.ends_at,
    )
    tenant.customer.save()
    assert tenant.subscription is not None
    tenant.subscription.version = new
    tenant.subscription.save()
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
