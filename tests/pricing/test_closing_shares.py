"""What falls to a segment of a cycle's minimum: by its part of the whole cycle, less the trial."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from core.numbers import ZERO, plain
from pricing.closing import Addition, additions, share, shortfall
from pricing.models import BillingPeriod, PlanVersion, Segment, Subscription
from pricing.rating import EMPTY, State, read_component
from tests.billing.world import make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
THREE_TIERS = [{"up_to": "10", "unit_price": "1", "flat_fee": "2"}, {"up_to": None, "unit_price": "0.5"}]
_clock = standing_at(datetime(2026, 1, 1, tzinfo=UTC))


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def segment(
    start: str,
    end: str,
    *,
    version: PlanVersion,
    ends_at: str | None = None,
    subscribed: str | None = None,
    time_zone: str = "UTC",
) -> Segment:
    """A segment of a subscription that began with it, or before."""
    tenant = make_tenant(time_zone=time_zone)
    began = instant(subscribed or start)
    subscription = Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=tenant.payer,
        version=version,
        starts_at=began,
        ends_at=None if ends_at is None else instant(ends_at),
        anchor_at=began,
        created_at=began,
    )
    own = {"customer": tenant.customer, "subscription": subscription}
    times = {"starts_at": instant(start), "ends_at": instant(end)}
    period = BillingPeriod.objects.create(**own, **times)
    return Segment.objects.create(**own, **times, version=version, period=period)


@pytest.mark.parametrize(
    ("terms", "start", "end", "part"),
    [
        ({}, "2026-01-01", "2026-02-01", "31"),
        ({}, "2026-01-17", "2026-02-01", "15"),
        ({}, "2026-01-01", "2026-01-17", "16"),
        ({}, "2026-01-01T06:00", "2026-01-01T18:00", "0.5"),
        ({"proration": "day"}, "2026-01-01T06:00", "2026-01-02T18:00", "1"),
        ({"interval": "quarter"}, "2026-01-01", "2026-02-01", plain(Decimal(31) * 31 / 90)[:20]),
        ({"interval": "year"}, "2026-01-01", "2027-01-01", "31"),
        ({"anchor": "subscription"}, "2026-01-31", "2026-02-28", "31"),
        ({"anchor": "subscription"}, "2026-01-31", "2026-02-14", "15.5"),
        ({"trial": {"days": 10}}, "2026-01-01", "2026-02-01", "21"),
        ({"trial": {"days": 31}}, "2026-01-01", "2026-02-01", "0"),
        ({"trial": {"days": 40}}, "2026-01-01", "2026-02-01", "0"),
    ],
)
def test_a_share_is_the_segments_part_of_the_cycle(
    terms: dict[str, Any], start: str, end: str, part: str
) -> None:
    found = share(segment(start, end, version=make_version([], **terms)), Decimal(31))
    assert plain(found)[:20] == part


def test_a_last_day_that_nothing_follows_counts_whole() -> None:
    version = make_version([], proration="day")
    fields: dict[str, Any] = {"version": version, "start": "2026-01-01", "end": "2026-01-10T12:00"}
    assert share(segment(**fields), Decimal(31)) == 9
    assert share(segment(**fields, ends_at="2026-01-10T12:00"), Decimal(31)) == 10


def test_cycles_are_the_payers_local_months() -> None:
    version = make_version([])
    found = share(
        segment("2026-01-15T18:30", "2026-01-31T18:30", version=version, time_zone="Asia/Kolkata"),
        Decimal(31),
    )
    assert found == 16


def test_parts_of_a_cycle_sum_to_the_whole() -> None:
    version, at, total = make_version([]), instant("2026-01-01"), ZERO
    for days in (3, 7, 1, 20):
        following = at + timedelta(days=days)
        total += share(segment(at.isoformat()[:19], following.isoformat()[:19], version=version), Decimal(10))
        at = following
    assert total == 10


def test_a_trial_is_counted_from_the_subscriptions_start() -> None:
    version = make_version([], trial={"days": 10})
    late = segment("2026-02-01", "2026-03-01", version=version, subscribed="2026-01-25")
    assert share(late, Decimal(28)) == 25  # the trial ends on 4 February
    assert share(late, ZERO) == 0


def states(*quantities: str) -> list[State]:
    component = read_component({"key": "c", "model": "graduated", "tiers": THREE_TIERS, "group_by": ["g"]})
    return [
        component.pricing.fold(EMPTY, None, Decimal(quantity), 1)  # type: ignore[arg-type]
        for quantity in quantities
    ]


@pytest.mark.parametrize(
    ("fields", "quantities", "minimum", "charged", "expected"),
    [
        ({}, ["3"], "0", None, []),
        ({}, ["3"], "8", None, [("minimum", "3")]),
        ({}, ["3"], "5", None, []),
        ({}, [], "8", None, [("minimum", "8")]),
        ({"bill_zero_usage": True}, [], "0", None, [("zero_usage", "2")]),
        ({"bill_zero_usage": True}, [], "3", None, [("zero_usage", "2"), ("minimum", "1")]),
        ({"bill_zero_usage": True}, ["0", "3"], "0", None, []),
        ({"bill_zero_usage": True, "discount_percent": "50"}, ["0"], "0", None, [("zero_usage", "1")]),
        ({"bill_zero_usage": True, "maximum": "1.5"}, ["-2"], "0", None, [("zero_usage", "1.5")]),
        ({"discount_percent": "100"}, ["3"], "4", None, [("minimum", "4")]),
        ({}, ["3"], "8", "0", [("usage", "5"), ("minimum", "3")]),
        ({}, ["3"], "8", "5", [("minimum", "3")]),
        ({}, ["3", "20"], "0", "30", [("usage", "-8")]),
        ({}, [], "0", "0", []),
    ],
)
def test_additions_make_what_was_charged_the_close(
    fields: dict[str, Any],
    quantities: list[str],
    minimum: str,
    charged: str | None,
    expected: list[tuple[str, str]],
) -> None:
    raw = {"key": "c", "model": "graduated", "tiers": THREE_TIERS, "group_by": ["g"]} | fields
    component, groups = read_component(raw), states(*quantities)
    booked = None if charged is None else Decimal(charged)
    found = additions(component, groups, Decimal(minimum), booked)
    assert found == [Addition(kind, Decimal(amount)) for kind, amount in expected]
    before = component.total(component.subtotal(groups)) if booked is None else booked
    total = before + sum((part.amount for part in found), ZERO)
    assert total == component.close(groups, Decimal(minimum))


@pytest.mark.parametrize(("spent", "missing"), [("0", "10"), ("9.99", "0.01"), ("10", "0"), ("11", "0")])
def test_a_commitment_asks_for_what_is_missing(spent: str, missing: str) -> None:
    assert shortfall(Decimal(10), Decimal(spent)) == Decimal(missing)
