"""Totals, exports and sources of simulations."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from hypothesis import given
from hypothesis import strategies as st

from billing.simulations import request_simulation, run_simulation
from billing.simulations.asking import documents_in
from billing.simulations.export import COLUMNS, csv_rows
from billing.simulations.sources import costs_of
from billing.simulations.totals import Figures, sum_up
from core import clock
from core.errors import InvalidRequest
from pricing.catalog import Document, read_catalog
from pricing.cycles import Period
from pricing.models import SimulationRow
from pricing.simulation import PayerRow, compile_content
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version
from tests.pricing.simulation.world import JANUARY, components, event, make_meters, report

NOW = datetime(2026, 1, 31, tzinfo=UTC)
AMOUNTS = st.decimals("0", "100", places=2)


def row(current: str, simulated: str, cost: str | None = "0", events: int = 1, costed: int = 1) -> Figures:
    old, new = Decimal(current), Decimal(simulated)
    known = None if cost is None else Decimal(cost)
    return Figures(old, new, new - old, known, events, costed, 0)


def totals(*rows: Figures, grows_by: str = "10") -> dict[str, Any]:
    ordered = sorted(rows, key=lambda each: each.difference)
    return sum_up(iter(ordered), len(rows), Decimal(grows_by))


def test_totals_by_hand() -> None:
    found = totals(row("10", "8", "4"), row("10", "10.5", "5"), row("0", "3", "0"), row("7", "7", "1"))
    assert (found["payers"], found["current"], found["simulated"]) == (4, "27", "28.5")
    assert (found["difference"], found["cost"], found["cost_coverage"]) == ("1.5", "10", "1")
    assert (found["current_margin"], found["margin"]) == ("17", "18.5")
    assert found["margin_rate"] == "0.64912280701754386"
    assert (found["winners"], found["losers"], found["unchanged"], found["growing"]) == (1, 2, 1, 1)


def test_nobody_has_no_deciles_and_no_rates() -> None:
    found = totals()
    assert (found["payers"], found["deciles"], found["margin_rate"], found["cost_coverage"]) == (
        0,
        [],
        None,
        None,
    )
    assert found["difference"] == "0"


def test_cost_that_is_not_known_is_not_nothing() -> None:
    unknown = totals(row("5", "6", None, events=3, costed=0))
    assert (unknown["cost"], unknown["margin"], unknown["cost_coverage"]) == (None, None, "0")
    half = totals(row("5", "6", "2", events=4, costed=2))
    assert (half["cost"], half["margin"], half["cost_coverage"]) == ("2", "4", "0.5")


@given(st.lists(st.tuples(AMOUNTS, AMOUNTS), max_size=20), st.integers(0, 100))
def test_totals_are_those_of_the_rows(pairs: list[tuple[Decimal, Decimal]], percent: int) -> None:
    rows = [row(str(current), str(simulated)) for current, simulated in pairs]
    found = totals(*rows, grows_by=str(percent))
    differences = [simulated - current for current, simulated in pairs]
    assert Decimal(found["difference"]) == sum(differences, Decimal(0))
    assert found["winners"] == sum(difference < 0 for difference in differences)
    assert found["losers"] == sum(difference > 0 for difference in differences)
    assert found["winners"] + found["losers"] + found["unchanged"] == len(pairs)
    assert found["growing"] == sum(
        simulated > current and simulated - current > current * percent / 100 for current, simulated in pairs
    )
    deciles = [Decimal(value) for value in found["deciles"]]
    assert deciles == sorted(deciles)
    if pairs:
        assert (deciles[0], deciles[-1]) == (min(differences), max(differences))
        assert len(deciles) == 11


@pytest.fixture
def in_january(db: None) -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)


def payer(tenant: Tenant) -> PayerRow:
    return PayerRow(tenant.payer.pk, tenant.customer.pk, tenant.payer.currency, ZoneInfo("UTC"))


def test_costs_are_those_of_the_hours_of_the_window(in_january: None) -> None:
    make_meter()
    version = make_version(components("per_unit"))
    first, second = make_tenant(version), make_tenant(version)
    at = START + timedelta(days=5)
    report(first, event("a", at, "1"), event("b", at + timedelta(hours=1), "1"))
    unknown = event("c", at, "1")
    del unknown["costs"]
    report(second, unknown)
    payers = [payer(first), payer(second)]
    found = costs_of(payers, JANUARY)
    assert found[first.payer.pk] == (Decimal("0.02"), 2, 2)
    assert found[second.payer.pk] == (0, 1, 0)
    hour = costs_of(payers, Period(at, at + timedelta(hours=1)))
    assert hour[first.payer.pk] == (Decimal("0.01"), 1, 1)
    assert costs_of([payer(first)], JANUARY).keys() == {first.payer.pk}


def test_a_payer_of_unknown_cost_has_none_in_its_row(in_january: None) -> None:
    make_meter()
    version = make_version(components("per_unit"))
    tenant, silent = make_tenant(version), make_tenant(version)
    unknown = event("c", START, "1")
    del unknown["costs"]
    report(tenant, unknown)
    simulation = request_simulation([version], starts_at=START, ends_at=NOW)
    run_simulation(simulation.pk)
    rows = {row.billing_entity_id: row for row in SimulationRow.objects.all()}
    assert (rows[tenant.payer.pk].cost, rows[tenant.payer.pk].events) == (None, 1)
    assert (rows[silent.payer.pk].cost, rows[silent.payer.pk].events) == (0, 0)


def test_events_without_a_price_are_counted(in_january: None) -> None:
    make_meters()
    tenant = make_tenant(make_version(components("per_unit")))
    report(
        tenant, *[event(f"k{n}", START, "1", region=region) for n, region in enumerate(["eu", "us", "us"])]
    )
    by_person = {
        "key": "c",
        "meter": "tokens",
        "model": "matrix",
        "dimensions": ["region", "person"],
        "cells": [{"match": {"region": "eu"}, "unit_price": "1"}],
    }
    version = make_version([by_person])
    simulation = request_simulation([version], starts_at=START, ends_at=NOW)
    run_simulation(simulation.pk)
    simulation.refresh_from_db()
    assert (simulation.totals[0]["simulated"], simulation.totals[0]["unpriced"]) == ("1", 2)


def test_the_export_is_in_the_order_of_differences(in_january: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("billing.simulations.export._AT_ONCE", 2)
    make_meter()
    version = make_version(components("per_unit"))
    tenants = [
        make_tenant(version, name=name) for name in ("plain", "@SUM(A1)", "-1+1", "\tx", "ümlaut, komma")
    ]
    for number, tenant in enumerate(tenants):
        report(tenant, event("k", START, str(number)))
    free = {"plan": "free", "currency": "USD"}
    simulation = request_simulation([version], [free], starts_at=START, ends_at=NOW)
    run_simulation(simulation.pk)
    rows = list(csv.reader(io.StringIO("".join(csv_rows(simulation)), newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 1 + 10
    found = [dict(zip(COLUMNS, each, strict=True)) for each in rows[1:]]
    assert [each["version"] for each in found] == [version.public_id] * 5 + ["content"] * 5
    freed = found[5:]
    assert [each["difference"] for each in freed] == ["0", "-0.01", "-0.02", "-0.03", "-0.04"]
    assert [each["outcome"] for each in freed] == ["unchanged"] + ["winner"] * 4
    assert [each["billing_entity_name"] for each in freed] == [
        "plain",
        "'@SUM(A1)",
        "'-1+1",
        "'\tx",
        "ümlaut, komma",
    ]


def test_files_become_documents_with_the_meters_beside_them(db: None) -> None:
    meters = [{"key": "mine", "event": "e", "aggregation": "sum", "property": "a.b", "unit": "t"}]
    price = {"key": "c", "meter": "mine", "model": "per_unit", "unit_price": "1"}
    plans = [{"plan": key, "currency": "USD", "components": [price]} for key in ("a", "b")]
    catalog = read_catalog([Document({"meters": meters, "plans": plans})])
    documents = documents_in(catalog)
    assert [document["plan"] for document in documents] == ["a", "b"]
    for document in documents:
        (component,) = compile_content(document).components
        assert component.meter.definition == catalog.meters["mine"].definition
    with pytest.raises(InvalidRequest):
        documents_in(read_catalog([Document(plans[0])]))


def test_what_happened_to_a_simulation_is_in_the_trail(in_january: None) -> None:
    make_meter()
    version = make_version(components("per_unit"))
    make_tenant(version)
    simulation = request_simulation([version], starts_at=START, ends_at=NOW, created_by="key_x")
    run_simulation(simulation.pk)
    events = apps.get_model("pricing", "SimulationEvent").objects.order_by("pgh_id")
    assert list(events.values_list("status", flat=True)) == ["queued", "running", "done"]
    assert events.last().created_by == "key_x"
