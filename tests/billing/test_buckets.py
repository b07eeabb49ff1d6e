"""Hourly buckets of usage and margin, kept in the charge's transaction: the payer's hours, exact sums."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.charging import Mode, charge_many
from billing.models import MarginBucket
from core import clock
from core.sql import driver
from metering.models import UsageBucket
from tests.billing.invariants import broken_invariants
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}


@pytest.fixture(autouse=True)
def _january() -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)
    assert broken_invariants(driver()) == []


def at(hour: int, minute: int = 0, second: int = 0) -> str:
    return datetime(2026, 1, 15, hour, minute, second, tzinfo=UTC).isoformat()


def report(tenant: Tenant, key: str, **fields: Any) -> None:
    charge(tenant, key, Mode.REPORT, **fields)


def usage(meter: str = "tokens") -> list[tuple[str, Decimal, int]]:
    rows = UsageBucket.objects.filter(meter_id=_meter_id(meter)).order_by("hour", "dimensions")
    return [(f"{row.hour.astimezone(UTC):%H:%M}", row.quantity, row.events) for row in rows]


def _meter_id(key: str) -> int:
    return int(METERS[key].pk)


METERS: dict[str, Any] = {}


def meter(key: str = "tokens", **fields: Any) -> None:
    METERS[key] = make_meter(key, **fields)


def margins() -> list[tuple[Any, ...]]:
    rows = MarginBucket.objects.order_by("hour", "event")
    return [
        (row.event, row.events, row.costed, row.unmatched, row.unpriced, row.revenue, row.cost)
        for row in rows
    ]


@pytest.mark.parametrize(
    ("zone", "hours"),
    [
        ("UTC", ["10:00", "11:00"]),
        ("Asia/Kathmandu", ["09:15", "10:15", "11:15"]),  # 5:45 ahead
        ("Asia/Kolkata", ["09:30", "10:30", "11:30"]),  # 5:30 ahead
        ("America/St_Johns", ["09:30", "10:30", "11:30"]),  # 3:30 behind
        ("Europe/Berlin", ["10:00", "11:00"]),
    ],
)
def test_an_hour_is_the_payers_own(zone: str, hours: list[str]) -> None:
    meter()
    tenant = make_tenant(make_version([PER_TOKEN]), time_zone=zone)
    instants = [(10, 0), (10, 14), (10, 15), (10, 29), (10, 30), (10, 59), (11, 0), (11, 30)]
    for number, (hour, minute) in enumerate(instants):
        report(tenant, str(number), occurred_at=at(hour, minute, 59), properties={"tokens": 1})
    assert [hour for hour, _, _ in usage()] == hours
    assert sum(quantity for _, quantity, _ in usage()) == len(instants)
    assert [f"{row.hour.astimezone(UTC):%H:%M}" for row in MarginBucket.objects.order_by("hour")] == hours


def test_kathmandus_hour_begins_at_a_quarter_past_to_the_microsecond() -> None:
    meter()
    tenant = make_tenant(make_version([PER_TOKEN]), time_zone="Asia/Kathmandu")
    edge = datetime(2026, 1, 15, 10, 15, tzinfo=UTC)
    for number, instant in enumerate((edge - timedelta(microseconds=1), edge)):
        report(tenant, str(number), occurred_at=instant.isoformat(), properties={"tokens": 1 + number})
    assert usage() == [("09:15", 1, 1), ("10:15", 2, 1)]


@pytest.mark.parametrize("in_one_batch", [True, False])
@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        ("sum", Decimal("9.5")),
        ("max", Decimal(7)),
        ("min", Decimal("-0.5")),
        ("avg", Decimal("9.5")),  # the sum; `events` divides
        ("count", Decimal(3)),
    ],
)
def test_an_hours_quantity_is_merged_as_its_meter_says(
    aggregation: str, expected: Decimal, in_one_batch: bool
) -> None:
    meter(aggregation=aggregation)
    tenant = make_tenant(None)
    values = ("3", "7", "-0.5")
    requests = [
        request(tenant, value, Mode.REPORT, occurred_at=at(10), properties={"tokens": Decimal(value)})
        for value in values
    ]
    for batch in [requests] if in_one_batch else [[one] for one in requests]:
        charge_many(batch)
    assert usage() == [("10:00", expected, 3)]


@pytest.mark.parametrize("in_one_batch", [True, False])
def test_a_unique_value_counts_in_the_hour_in_which_it_came_first(in_one_batch: bool) -> None:
    meter(aggregation="unique")
    tenant = make_tenant(None)
    requests = [
        request(tenant, f"k{number}", Mode.REPORT, occurred_at=at(hour), properties={"tokens": value})
        for number, (hour, value) in enumerate([(9, "a"), (9, "a"), (9, "b"), (10, "a"), (10, "c")])
    ]
    for batch in [requests] if in_one_batch else [[one] for one in requests]:
        charge_many(batch)
    assert usage() == [("09:00", 2, 3), ("10:00", 1, 2)]


def test_a_replay_is_counted_once() -> None:
    meter()
    tenant = make_tenant(make_version([PER_TOKEN]))
    for _ in range(3):
        report(tenant, "a", occurred_at=at(10), properties={"tokens": 5})
    assert usage() == [("10:00", 5, 1)]
    assert margins() == [("completion", 1, 0, 0, 0, Decimal("0.05"), 0)]


def test_a_denied_call_is_counted_nowhere() -> None:
    meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="1", overdraft=Decimal(0))
    charge(tenant, "a", properties={"tokens": 101})
    assert (UsageBucket.objects.count(), MarginBucket.objects.count()) == (0, 0)


def test_groups_have_buckets_of_their_own() -> None:
    meter(group_by=["model"])
    tenant = make_tenant(None)
    for number, model in enumerate(["a", "b", "a"]):
        report(tenant, str(number), occurred_at=at(10), properties={"tokens": 2, "model": model})
    assert usage() == [("10:00", 4, 2), ("10:00", 2, 1)]


def test_unmatched_and_unpriced_events_are_counted_as_such() -> None:
    meter()
    meter("renders", event="render", aggregation="count")
    tenant = make_tenant(make_version([PER_TOKEN]))
    report(tenant, "a", properties={"tokens": 5})
    report(tenant, "b", event="render")
    report(tenant, "c", event="render")
    report(tenant, "d", event="misspelt")
    assert margins() == [
        ("completion", 1, 0, 0, 0, Decimal("0.05"), 0),
        ("misspelt", 1, 0, 1, 0, 0, 0),
        ("render", 2, 0, 0, 2, 0, 0),
    ]


def test_a_cost_of_nothing_is_known_and_one_that_is_not_given_is_not() -> None:
    meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="100")
    vendor = {"vendor": "openai", "currency": "USD"}
    costs = [
        None,
        [],
        [{**vendor, "amount": "0"}],
        [{**vendor, "amount": "0.000000000000000001"}, {**vendor, "amount": "0.25"}],
    ]
    for number, given in enumerate(costs):
        fields = {} if given is None else {"costs": given}
        report(tenant, str(number), properties={"tokens": 100}, **fields)
    (row,) = MarginBucket.objects.all()
    assert (row.events, row.revenue, row.cost) == (4, 4, Decimal("0.250000000000000001"))
    assert row.costed == 3  # an empty list says that there are none


def test_margins_stand_by_payer_workspace_event_and_hour() -> None:
    meter()
    version = make_version([PER_TOKEN])
    first, second = make_tenant(version), make_tenant(version)
    for number, (tenant, hour) in enumerate([(first, 9), (first, 10), (second, 10), (first, 10)]):
        report(tenant, f"k{number}", occurred_at=at(hour, 30), properties={"tokens": 100})
    rows = MarginBucket.objects.order_by("billing_entity_id", "hour")
    assert [(row.billing_entity_id, row.workspace_id, row.hour.hour, row.revenue) for row in rows] == [
        (first.payer.pk, first.workspace.pk, 9, 1),
        (first.payer.pk, first.workspace.pk, 10, 2),
        (second.payer.pk, second.workspace.pk, 10, 1),
    ]


def test_what_names_a_payer_alone_has_no_workspace() -> None:
    meter()
    tenant = make_tenant(make_version([PER_TOKEN]))
    report(tenant, "a", workspace=None, billing_entity=tenant.payer.public_id, properties={"tokens": 5})
    assert MarginBucket.objects.get().workspace_id == 0
    assert UsageBucket.objects.get().workspace_id == 0
