"""The replay of a payer: it comes to what was booked, and finds what was not booked right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from billing.charging import Mode
from billing.closing import close_periods
from billing.periods import book_base_fees
from billing.replay import Difference, Held, HeldEvent, Replay, replay_differences, standing_events
from billing.reversals import reverse_event
from core import clock
from metering.aggregation import parse_meter
from metering.catalogue import CompiledMeter
from metering.models import UsageEvent
from pricing.models import Segment, Subscription
from pricing.pricelist import PricedComponent
from pricing.rating import read_component
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version

USED_AT = START + timedelta(days=3)
CLOSED_AT = datetime(2026, 2, 3, tzinfo=UTC)
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
COMPONENT: dict[str, Any] = {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS}


@pytest.fixture
def tenant(db: None) -> Iterator[Tenant]:
    """One who used 8 and 6 on a plan with a minimum and a commitment."""
    clock.use(lambda: USED_AT)
    make_meter()
    version = make_version([COMPONENT | {"minimum": "20"}], minimum_spend="30")
    made = make_tenant(version, balance="100")
    for key, tokens in (("a", 8), ("b", 6)):
        charge(made, key, Mode.REPORT, properties={"tokens": tokens})
    yield made
    clock.use(None)


def close() -> None:
    clock.use(lambda: CLOSED_AT)
    book_base_fees(CLOSED_AT)
    assert close_periods(CLOSED_AT) == 1


def damage(statement: str) -> None:
    """Change what no trigger lets anybody change."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement)
        cursor.execute("SET session_replication_role = DEFAULT")


def found(tenant: Tenant) -> list[tuple[str, Decimal, Decimal]]:
    return [(each.component, each.booked, each.replayed) for each in replay_differences(tenant.payer)]


def test_what_was_booked_is_what_the_events_come_to(tenant: Tenant) -> None:
    assert found(tenant) == []
    close()
    assert found(tenant) == []
    charge(tenant, "late", Mode.REPORT, properties={"tokens": 30}, occurred_at=USED_AT.isoformat())
    reverse_event(UsageEvent.objects.get(idempotency_key="a"), reason="r")
    assert found(tenant) == []


def test_an_event_that_was_reversed_counts_no_more(tenant: Tenant) -> None:
    reverse_event(UsageEvent.objects.get(idempotency_key="a"), reason="r")
    assert [event.properties["tokens"] for event in standing_events(tenant.payer)] == [6]


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        # The first charge says 9, and its line too: invoices drawn over it would be wrong.
        (
            (
                "UPDATE billing_charge SET amount = 9, lines = jsonb_set(lines, '{0,amount}', '\"9\"')"
                " WHERE seq = (SELECT min(seq) FROM billing_charge)"
            ),
            ("tok", Decimal(13), Decimal(12)),
        ),
        # An event was other than what was charged for it.
        (
            "UPDATE metering_usageevent SET properties = '{\"tokens\": 7}' WHERE idempotency_key = 'b'",
            ("tok", Decimal(12), Decimal("12.5")),
        ),
        # A charge is lost.
        ("DELETE FROM billing_charge WHERE amount = 4", ("tok", Decimal(8), Decimal(8))),
    ],
)
def test_damage_is_found(tenant: Tenant, statement: str, difference: tuple[str, Decimal, Decimal]) -> None:
    damage(statement)
    expected = [] if difference[1] == difference[2] else [difference]
    assert found(tenant) == expected


def test_a_close_that_was_not_right_is_found(tenant: Tenant) -> None:
    close()
    damage("UPDATE billing_closingline SET amount = amount + 1")
    assert sorted(found(tenant)) == [
        ("minimum_spend", Decimal(11), Decimal(10)),
        ("tok", Decimal(21), Decimal(20)),
    ]


def test_a_charge_on_a_version_that_was_not_the_payers_is_found(tenant: Tenant) -> None:
    other = make_version([COMPONENT | {"model": "volume"}])
    damage(f"UPDATE pricing_segment SET version_id = {other.pk}")
    differences = replay_differences(tenant.payer)
    assert [(each.booked, each.replayed) for each in differences] == [(0, 7), (12, 0)]
    assert {type(each) for each in differences} == {Difference}
    assert Segment.objects.get().version_id == other.pk


def test_another_payers_events_do_not_count(tenant: Tenant) -> None:
    subscription = Subscription.objects.get()
    other = make_tenant(subscription.version, balance="100")
    charge(other, "a", Mode.REPORT, properties={"tokens": 3})
    assert found(tenant) == found(other) == []
    assert len(list(standing_events(other.payer))) == 1


def test_folding_needs_no_database() -> None:
    meter = parse_meter({"event": "call", "aggregation": "unique", "property": "who"})
    compiled = CompiledMeter(1, "people", "unique", "", "note", True, meter)
    rating = read_component({"key": "c", "model": "graduated", "tiers": TIERS})
    component = PricedComponent(7, "c", 1, "people", rating, True, lambda properties: {})
    first, second = (
        Held(segment, START + timedelta(days=day), START + timedelta(days=day + 5), component, compiled)
        for segment, day in ((1, 0), (2, 5))
    )
    replay = Replay({"call": [first, second]})
    for day, who, name in (
        (1, "a", "call"),
        (2, "a", "call"),
        (6, "a", "call"),
        (7, "b", "call"),
        (7, "c", "x"),
    ):
        replay.take(HeldEvent(name, START + timedelta(days=day), {"who": who}, None))
    replay.take(HeldEvent("call", START, {}, None))  # nothing that the meter could take
    states = {place: [state.quantity for state in groups.values()] for place, groups in replay.states.items()}
    assert states == {(1, 7): [1], (2, 7): [2]}
