"""Reading usage: hours and parts of hours, packs of events, exact numbers, how many statements it takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core import clock
from core.errors import TooLarge
from core.sql import driver
from metering.models import Meter, UsageBucket, UsageEvent
from metering.store_reading import Stretch, read_events, sum_stretches
from pricing.cycles import Period
from pricing.simulation import Candidate, Cohort, compile_content, compile_versions, simulate
from pricing.simulation.reading import PayerRow, UsageReader
from pricing.simulation.tallies import Tally
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.pricing.simulation.world import JANUARY, components, event, make_meters, report, run

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PER_TOKEN = {"key": "c", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
january = standing_at(START)


def made(*parts: dict[str, Any], **payer: Any) -> tuple[Tenant, Candidate]:
    """A tenant on these components, whose meters have counted from the start on; it is the end of January."""
    version = make_version(list(parts) or [PER_TOKEN])
    tenant = make_tenant(version, **payer)
    clock.use(lambda: NOW)
    return tenant, compile_versions([version])[0]


def read(tenant: Tenant, candidate: Candidate, start: datetime, end: datetime, **reader: Any) -> list[Tally]:
    """The tallies of a candidate's components for `[start, end)`."""
    payer = PayerRow(tenant.payer.pk, tenant.customer.pk, "USD", ZoneInfo(tenant.payer.time_zone))
    tallies = [Tally(component, start, end) for component in candidate.components]
    reading = UsageReader(**reader)
    for tally in tallies:
        reading.want(payer, tally)
    with transaction.atomic():
        reading.read()
    return tallies


def quantity(tally: Tally) -> Decimal:
    return sum((state.quantity for state in tally.states.values()), Decimal(0))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe"])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (timedelta(days=4), timedelta(days=6), 0b1111),
        (timedelta(days=5, minutes=1), timedelta(days=6), 0b1110),
        (timedelta(days=5), timedelta(days=5, minutes=59), 0b0011),
        (timedelta(days=5, minutes=29), timedelta(days=5, minutes=31), 0b0010),
        (timedelta(days=5, minutes=30), timedelta(days=5, minutes=30, microseconds=1), 0b0010),
        (timedelta(days=5, minutes=30, microseconds=1), timedelta(days=5, minutes=59), 0b0000),
        (timedelta(days=5, hours=1), timedelta(days=5, hours=30), 0b1000),
    ],
)
def test_whole_hours_come_from_buckets_and_the_rest_from_events(
    zone: str, start: timedelta, end: timedelta, expected: int
) -> None:
    make_meter()
    tenant, candidate = made(time_zone=zone)
    at = START + timedelta(days=5)
    for number, after in enumerate(
        (timedelta(), timedelta(minutes=30), timedelta(minutes=59), timedelta(hours=3))
    ):
        report(tenant, event(f"k{number}", at + after, str(2**number)))
    (tally,) = read(tenant, candidate, START + start, START + end)
    assert quantity(tally) == expected


def test_buckets_are_not_asked_for_the_time_before_a_meter_counted() -> None:
    make_meters()
    tenant, _ = made(*components("per_unit"))
    for day in (2, 12, 22):
        report(tenant, event(f"k{day}", START + timedelta(days=day), str(day)))
    late = START + timedelta(days=10)
    make_meter("late", property_path="tokens", created_at=late, frozen_at=late)
    meter = Meter.objects.get(key="late")
    # As it would have been counted: what was recorded from the 11th on.
    UsageBucket.objects.create(
        customer_id=tenant.customer.pk,
        billing_entity_id=tenant.payer.pk,
        meter_id=meter.pk,
        hour=START + timedelta(days=22),
        workspace_id=tenant.workspace.pk,
        dimensions="[]",
        quantity=1000,
        events=1,
    )
    price = {"key": "c", "meter": "late", "model": "per_unit", "unit_price": "1"}
    candidate = compile_content({"plan": "p", "currency": "USD", "components": [price]})
    (tally,) = read(tenant, candidate, *JANUARY)
    # The 3rd and the 13th from events (up to a day after it was frozen: to the 12th); the 23rd from buckets.
    assert quantity(tally) == 2 + 1000


def test_events_come_in_packs_and_in_order() -> None:
    make_meter()
    tenant, _ = made()
    report(tenant, *[event(f"k{n}", START + timedelta(minutes=n), str(n)) for n in range(2300)])
    with transaction.atomic():
        packs = list(
            read_events(
                driver(),
                [tenant.customer.pk],
                [tenant.payer.pk],
                ["completion"],
                start=START,
                end=NOW,
                recorded_from=START,
            )
        )
    assert [len(events) for _, events in packs] == [999, 1000, 301]
    assert {payer_id for payer_id, _ in packs} == {tenant.payer.pk}
    tokens = [properties["tokens"] for _, events in packs for _, _, properties, _, _ in events]
    assert tokens == [str(n) for n in range(2300)]


def test_numbers_of_events_stay_exact() -> None:
    make_meter()
    tenant, _ = made()
    exact = ["0.000000000001", "12345678901234567890", "1e3", "0.1"]
    fields = event("k", START, "1", list=exact)
    fields["properties"] |= {"number": Decimal("0.10"), "large": 10**19, "nested": {"a": Decimal("1e-12")}}
    fields["costs"] = [{"vendor": "v", "amount": "0.000000000000000001", "currency": "USD"}]
    report(tenant, fields)
    with transaction.atomic():
        ((_, [(name, ticks, properties, cost, event_id)]),) = read_events(
            driver(),
            [tenant.customer.pk],
            [tenant.payer.pk],
            ["completion"],
            start=None,
            end=NOW,
            recorded_from=START,
        )
    assert name == "completion"
    assert ticks == int(START.timestamp()) * 1_000_000
    assert (properties["list"], properties["large"]) == (exact, 10**19)
    assert (properties["number"], properties["nested"]["a"]) == (Decimal("0.1"), Decimal("1e-12"))
    assert cost == Decimal("1e-18")
    assert event_id == str(UsageEvent.objects.get().id)


def test_stretches_are_summed_each_by_itself() -> None:
    make_meter(group_by=["region"])
    tenant, candidate = made()
    for hour, tokens, region in ((0, 1, "eu"), (0, 2, "eu"), (1, 4, "us"), (2, 8, "eu")):
        report(
            tenant,
            event(f"{hour}{tokens}", START + timedelta(hours=hour, minutes=5), str(tokens), region=region),
        )
    meter_id = candidate.components[0].meter.id
    assert meter_id is not None
    hours = [START + timedelta(hours=hour) for hour in range(4)]
    stretches = [
        Stretch(tenant.customer.pk, tenant.payer.pk, meter_id, hours[start], hours[end])
        for start, end in ((0, 1), (0, 3), (1, 2), (3, 3))
    ]
    found = {
        (stretches.index(each.stretch), each.dimensions): (each.total, each.highest)
        for each in sum_stretches(driver(), stretches)
    }
    assert found == {
        (0, '["eu"]'): (3, 3),
        (1, '["eu"]'): (11, 8),
        (1, '["us"]'): (4, 4),
        (2, '["us"]'): (4, 4),
    }
    assert list(sum_stretches(driver(), [])) == []


def test_too_many_events_are_refused_where_a_limit_is_set() -> None:
    make_meters()
    tenant, candidate = made(*components("percentage"))
    report(tenant, *[event(f"k{n}", START, "1") for n in range(5)])
    read(tenant, candidate, *JANUARY, events_max=5)
    with pytest.raises(TooLarge):
        read(tenant, candidate, *JANUARY, events_max=4)


def test_one_payers_usage_is_not_anothers() -> None:
    make_meters()
    version = make_version(components("per_unit", "percentage", "people"))
    tenants = [make_tenant(version) for _ in range(3)]
    clock.use(lambda: NOW)
    for number, tenant in enumerate(tenants):
        report(tenant, *[event(f"k{n}", START, "5", person=str(n)) for n in range(number)])
    results = run(version)
    assert [result.current.lines["per_unit"] for result in results] == [0, Decimal("0.05"), Decimal("0.1")]
    assert [result.current.lines["people"] for result in results] == [0, 1, 2]


def test_the_number_of_statements_does_not_grow_with_payers_or_events() -> None:
    make_meters()
    version = make_version(components("per_unit", "percentage", "cost_plus"))
    draft = make_version(components("graduated", "people"))

    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            list(simulate(compile_versions([version, draft]), Cohort(), JANUARY))
        return len(queries)

    first = make_tenant(version)
    clock.use(lambda: NOW)
    report(first, event("a", START, "1"))
    before = statements()
    for _ in range(5):
        report(make_tenant(version), *[event(f"k{n}", START, "1", person=n) for n in range(20)])
    assert statements() == before <= 16


def test_many_payers_come_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    make_meters()
    version = make_version(components("per_unit"))
    tenants = [make_tenant(version) for _ in range(7)]
    clock.use(lambda: NOW)
    monkeypatch.setattr("pricing.simulation.simulating.PAYERS_AT_ONCE", 3)
    assert [result.payer.id for result in run(version)] == [tenant.payer.pk for tenant in tenants]


def test_a_window_of_no_usage_costs_nothing() -> None:
    make_meters()
    tenant, candidate = made(*components("per_unit", "percentage"))
    december = Period(START - timedelta(days=31), START)
    assert [quantity(tally) for tally in read(tenant, candidate, *december)] == [0, 0]
