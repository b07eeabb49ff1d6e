"""Stored charges, rated again from what is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from billing.charging import Charged, Mode, Recorded
from billing.models import Charge
from billing.recompute import ChargedEvent, Fold, Priced, charges_of, is_proved, recompute_charge
from billing.recompute import recompute_charges as recompute
from billing.rerating import rerate_events
from metering.aggregation import parse_meter
from metering.models import Meter
from pricing.models import Subscription
from pricing.pricelist import PricedComponent
from pricing.rating.component import read_component
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
MODELS: dict[str, dict[str, Any]] = {
    "per_unit": {"model": "per_unit", "unit_price": "0.01"},
    "graduated": {"model": "graduated", "tiers": TIERS, "included": "2", "maximum": "15"},
    "volume": {"model": "volume", "tiers": TIERS},
    "package": {"model": "package", "package_size": "7", "package_price": "2"},
    "percentage": {"model": "percentage", "rate": "0.03", "fixed_fee": "0.1", "free_amount": "4"},
    "cost_plus": {"model": "cost_plus", "markup": "0.25"},
    "grouped": {"model": "graduated", "tiers": TIERS, "group_by": ["region"], "discount_percent": "10"},
    "matrix": {
        "model": "matrix",
        "dimensions": ["region"],
        "cells": [{"match": {"region": "eu"}, "unit_price": "0.5"}],
        "default_unit_price": "0.1",
    },
}
january = standing_at(NOW)


def event(number: int) -> dict[str, Any]:
    """Some event, each a little different from the others."""
    properties = {
        "tokens": f"{number % 5 + 1}.5",
        "region": ["eu", "us", None][number % 3],
        "person": number % 4,
    }
    costs = [{"vendor": "v", "amount": "0.01", "currency": "USD"}]
    return {"properties": properties, "costs": costs}


def all_of(tenant: Tenant) -> list[Charge]:
    return list(charges_of(tenant.customer.pk, tenant.payer.pk))


def is_all_proved(tenant: Tenant) -> bool:
    found = list(recompute(charges_of(tenant.customer.pk, tenant.payer.pk)))
    assert found
    return all(is_proved(stored, again) for stored, again in found)


@pytest.mark.django_db
@pytest.mark.parametrize("model", MODELS)
def test_every_charge_of_every_model_is_proved(model: str) -> None:
    make_meter(group_by=["region"])
    version = make_version([{"key": "tok", "meter": "tokens"} | MODELS[model]])
    tenant = make_tenant(version, balance="1000")
    for number in range(12):
        assert isinstance(charge(tenant, f"k{number}", Mode.REPORT, **event(number)), Charged)
    assert is_all_proved(tenant)
    for stored in all_of(tenant):
        assert is_proved(stored, recompute_charge(stored))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("aggregation", "path"), [("count", None), ("sum", "tokens"), ("max", "tokens"), ("unique", "person")]
)
def test_every_live_aggregation_is_proved(aggregation: str, path: str | None) -> None:
    make_meter("m", aggregation=aggregation, property_path=path)
    tenant = make_tenant(
        make_version([{"key": "c", "meter": "m", "model": "graduated", "tiers": TIERS}]), balance="1000"
    )
    for number in range(12):
        charge(tenant, f"k{number}", Mode.REPORT, **event(number))
    assert is_all_proved(tenant)


@pytest.mark.django_db
def test_components_and_segments_are_folded_apart() -> None:
    make_meter("calls", aggregation="count")
    make_meter("people", aggregation="unique", property_path="person")
    components = [
        {"key": "call", "meter": "calls", "model": "volume", "tiers": TIERS},
        {"key": "person", "meter": "people", "model": "graduated", "tiers": TIERS},
        {"key": "region", "meter": "people", "model": "graduated", "tiers": TIERS, "group_by": ["region"]},
    ]
    tenant = make_tenant(make_version(components), starts_at=START - timedelta(days=31), balance="1000")
    for number in range(24):
        occurred_at = NOW - timedelta(days=number % 3 * 10)  # in January and in December, by turns
        charge(tenant, f"k{number}", Mode.REPORT, occurred_at=occurred_at.isoformat(), **event(number))
    stored = all_of(tenant)
    assert len({line["segment"] for each in stored for line in each.lines}) == 2
    assert is_all_proved(tenant)
    assert all(is_proved(each, recompute_charge(each)) for each in stored)


@pytest.mark.django_db
def test_a_charge_that_was_tampered_with_is_not_proved() -> None:
    make_meter()
    tenant = make_tenant(make_version([{"key": "tok", "meter": "tokens"} | MODELS["graduated"]]), balance="9")
    charge(tenant, "a", properties={"tokens": 5})
    (stored,) = all_of(tenant)
    again = recompute_charge(stored)
    assert (again.amount, is_proved(stored, again)) == (3, True)
    stored.amount += Decimal("0.01")
    assert not is_proved(stored, again)
    stored.amount -= Decimal("0.01")
    stored.lines[0]["quantity"] = "6"
    assert not is_proved(stored, again)


@pytest.mark.django_db
def test_events_that_were_rated_later_are_folded_when_they_were_rated() -> None:
    make_meter()
    tenant = make_tenant(balance="100")
    assert isinstance(charge(tenant, "early", Mode.REPORT, properties={"tokens": 8}), Recorded)
    subscribe(tenant)
    charge(tenant, "between", Mode.REPORT, properties={"tokens": 8})
    rerate_events(tenant.payer)
    charge(tenant, "late", Mode.REPORT, properties={"tokens": 8})
    assert [each.amount for each in all_of(tenant)] == [8, 5, 4]
    assert is_all_proved(tenant)


@pytest.mark.django_db
def test_a_unique_value_that_was_first_met_unpriced_is_charged_when_it_is_rated() -> None:
    make_meter(aggregation="unique", property_path="person")
    tenant = make_tenant(balance="100")
    charge(tenant, "early", Mode.REPORT, properties={"person": "ada"})
    subscribe(tenant)
    rerate_events(tenant.payer)
    charge(tenant, "again", Mode.REPORT, properties={"person": "ada"})
    charge(tenant, "other", Mode.REPORT, properties={"person": "bob"})
    assert [each.amount for each in all_of(tenant)] == [1, 0, 1]
    assert is_all_proved(tenant)


def subscribe(tenant: Tenant) -> None:
    """A subscription that began with the year."""
    Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=tenant.payer,
        version=make_version([{"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS}]),
        starts_at=START,
        anchor_at=START,
        created_at=START,
    )


def test_refolding_needs_no_database() -> None:
    rating = read_component({"key": "tok"} | MODELS["graduated"])
    component = PricedComponent(7, "tok", 1, "tokens", rating, True, lambda properties: {})
    meter = parse_meter({"event": "completion", "aggregation": "sum", "property": "tokens"})
    charges = [
        ChargedEvent([{"segment": 1, "component_id": 7}], {"tokens": tokens}, None) for tokens in (3, 20, 1)
    ]
    fold = Fold({7: Priced(component, meter)})
    again = [fold.rate(charged) for charged in charges]
    assert [each.amount for each in again] == [1, 14, 0]
    assert [each.lines[0]["position"] for each in again] == [
        {"from": "0", "to": "3"},
        {"from": "3", "to": "23"},
        {"from": "23", "to": "24"},
    ]


@pytest.mark.django_db
def test_numbers_are_read_exactly_as_they_came() -> None:
    make_meter()
    tenant = make_tenant(make_version([{"key": "tok", "meter": "tokens"} | MODELS["per_unit"]]), balance="9")
    for number, tokens in enumerate(("0.1", Decimal("0.2"), Decimal("1E-12"), 10**15)):
        charge(tenant, f"k{number}", Mode.REPORT, properties={"tokens": tokens})
    assert Meter.objects.count() == 1
    assert is_all_proved(tenant)
