"""Simulations as jobs: asked for, run in steps, called off, taken up again, kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, transaction

from billing.models import Charge, Transfer
from billing.simulations import (
    cancel_simulation,
    request_simulation,
    run_simulation,
    run_simulations,
    running,
)
from core.errors import Conflict, InvalidRequest
from pricing.models import PlanVersion, Simulation, SimulationRow
from pricing.plans import apply_plan
from pricing.simulation import Cohort, PayerRow, Simulator
from tests.billing.world import START, Tenant, make_tenant, make_version
from tests.clocks import standing_at
from tests.pricing.simulation.world import charged, components, event, make_meters, report

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 2, 10, tzinfo=UTC)
FEBRUARY = datetime(2026, 2, 1, tzinfo=UTC)
in_february = standing_at(NOW)


@pytest.fixture
def old() -> PlanVersion:
    make_meters()
    return make_version(components("per_unit"))


def customers(version: PlanVersion, *tokens: int) -> list[Tenant]:
    """One customer for each figure, who used so many tokens in January."""
    made = [make_tenant(version) for _ in tokens]
    for tenant, quantity in zip(made, tokens, strict=True):
        report(tenant, event(f"k{quantity}", START + timedelta(days=20), str(quantity)))
    return made


def new_price(unit_price: str = "0.02", **terms: Any) -> PlanVersion:
    """A draft with another price, in a plan of its own."""
    component = {"key": "per_unit", "meter": "tokens", "model": "per_unit", "unit_price": unit_price}
    document = {"plan": "new", "name": "New", "currency": "USD", "components": [component]}
    return apply_plan(document | terms)


def asked(*versions: PlanVersion, **fields: Any) -> Simulation:
    return request_simulation(versions, starts_at=START, ends_at=FEBRUARY, **fields)


def done(simulation: Simulation) -> Simulation:
    run_simulation(simulation.pk)
    simulation.refresh_from_db()
    return simulation


def test_a_draft_is_simulated_for_everybody(old: PlanVersion) -> None:
    customers(old, 100, 200, 300)
    simulation = done(asked(new_price()))
    assert simulation.status == Simulation.Status.DONE
    assert (simulation.payers_total, simulation.payers_done) == (3, 3)
    (totals,) = simulation.totals
    assert totals["current"] == "6"
    assert totals["simulated"] == "12"
    assert totals["difference"] == "6"
    assert (totals["cost"], totals["cost_coverage"]) == ("0.03", "1")
    assert (totals["current_margin"], totals["margin"]) == ("5.97", "11.97")
    assert totals["margin_rate"] == "0.9975"
    assert (totals["winners"], totals["losers"], totals["growing"]) == (0, 3, 3)
    # Three differences (1, 2, 3): decile d is at place ceil(0.3 d).
    assert totals["deciles"] == ["1", "1", "1", "1", "2", "2", "2", "3", "3", "3", "3"]


def test_its_own_version_comes_to_what_was_charged(old: PlanVersion) -> None:
    tenants = customers(old, 7, 11)
    simulation = done(asked(old))
    for tenant, row in zip(tenants, simulation.rows.order_by("billing_entity_id"), strict=True):
        assert row.simulated == row.current == charged(tenant)
        assert row.difference == 0
    assert simulation.totals[0]["unchanged"] == 2


def test_versions_stand_side_by_side(old: PlanVersion) -> None:
    (tenant,) = customers(old, 100)
    content = {
        "plan": "flat",
        "currency": "USD",
        "base_fees": [{"key": "platform", "amount": "3"}],
    }
    simulation = done(asked(old, new_price(), contents=[content]))
    amounts = simulation.rows.order_by("version").values_list("simulated", flat=True)
    assert list(amounts) == [Decimal(1), Decimal(2), Decimal(3)]
    assert [totals["label"] for totals in simulation.totals] == [
        old.public_id,
        PlanVersion.objects.get(plan__key="new").public_id,
        "content",
    ]
    row = simulation.rows.get(version=2)
    assert row.lines == {"current": {"per_unit": "1"}, "simulated": {"platform": "3"}}
    assert row.customer_id == tenant.customer.pk


def test_a_draft_may_change_while_its_simulation_waits(old: PlanVersion) -> None:
    customers(old, 100)
    simulation = asked(new_price("0.02"))
    new_price("0.5")
    assert done(simulation).totals[0]["simulated"] == "2"


def test_payers_in_another_currency_are_skipped(old: PlanVersion) -> None:
    customers(old, 100)
    make_tenant(make_version(components("per_unit"), currency="EUR"), currency="EUR")
    (totals,) = done(asked(new_price())).totals
    assert (totals["payers"], totals["skipped"]) == (1, 1)


def test_cohorts_choose_the_payers(old: PlanVersion) -> None:
    first, second, third = customers(old, 100, 200, 300)
    other = make_tenant(make_version(components("per_unit")))
    nobody = make_tenant()

    def chosen(**cohort: Any) -> list[int]:
        simulation = done(asked(new_price(), cohort=Cohort(**cohort)))
        return list(simulation.rows.order_by("billing_entity_id").values_list("billing_entity_id", flat=True))

    everybody = [first, second, third, other]
    assert chosen() == [tenant.payer.pk for tenant in everybody]
    assert chosen(customer_ids=(second.customer.pk,)) == [second.payer.pk]
    assert chosen(payer_ids=(first.payer.pk, nobody.payer.pk)) == [first.payer.pk, nobody.payer.pk]
    assert chosen(plan_id=old.plan_id) == [tenant.payer.pk for tenant in (first, second, third)]
    assert chosen(plan_id=old.plan_id, payer_ids=(third.payer.pk, other.payer.pk)) == [third.payer.pk]


def test_nothing_but_the_simulation_is_written(old: PlanVersion) -> None:
    (tenant,) = customers(old, 100)
    before = Charge.objects.count(), Transfer.objects.count(), charged(tenant)
    done(asked(new_price()))
    assert (Charge.objects.count(), Transfer.objects.count(), charged(tenant)) == before


def test_a_worker_that_dies_loses_one_step(old: PlanVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    customers(old, *range(1, 8))
    monkeypatch.setattr(running, "PAYERS_AT_ONCE", 2)
    simulation = asked(new_price())
    whole = Simulator.run

    class Killed(BaseException):
        pass

    def dies_at_the_third(self: Simulator, payers: Sequence[PayerRow]) -> Any:
        found = whole(self, payers)
        if SimulationRow.objects.count() >= 4:
            raise Killed
        return found

    monkeypatch.setattr(Simulator, "run", dies_at_the_third)
    with pytest.raises(Killed):
        run_simulation(simulation.pk)
    simulation.refresh_from_db()
    assert (simulation.status, simulation.payers_done) == (Simulation.Status.RUNNING, 4)
    monkeypatch.setattr(Simulator, "run", whole)
    assert run_simulations() == 1
    simulation.refresh_from_db()
    assert (simulation.status, simulation.payers_done) == (Simulation.Status.DONE, 7)
    assert sorted(simulation.rows.values_list("current", flat=True)) == [
        Decimal(n) / 100 for n in range(1, 8)
    ]


def test_one_that_is_called_off_stops_where_it_is(old: PlanVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    customers(old, 1, 2, 3)
    monkeypatch.setattr(running, "PAYERS_AT_ONCE", 1)
    simulation = asked(new_price())
    steps = running._steps(simulation.pk)
    assert next(steps) == 1
    assert cancel_simulation(simulation).status == Simulation.Status.CANCELED
    assert list(steps) == []
    simulation.refresh_from_db()
    assert (simulation.status, simulation.payers_done) == (Simulation.Status.CANCELED, 1)
    assert simulation.finished_at == NOW
    assert cancel_simulation(simulation).finished_at == NOW
    assert run_simulations() == 0


def test_one_that_is_done_cannot_be_called_off(old: PlanVersion) -> None:
    simulation = done(asked(old))
    with pytest.raises(Conflict) as error:
        cancel_simulation(simulation)
    assert error.value.code == "simulation_ended"


def test_one_whose_content_makes_no_sense_any_more_fails_and_says_why(old: PlanVersion) -> None:
    simulation = asked(new_price())
    broken = [{**simulation.versions[0], "content": {"plan": "x", "currency": "USD", "interval": "eon"}}]
    Simulation.objects.filter(pk=simulation.pk).update(versions=broken)
    done(simulation)
    assert simulation.status == Simulation.Status.FAILED
    assert "interval" in simulation.problem
    assert simulation.finished_at == NOW


def test_a_fault_of_ours_fails_it_without_details(old: PlanVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    customers(old, 1)

    def breaks(self: Simulator, payers: Sequence[PayerRow]) -> Any:
        raise ZeroDivisionError

    monkeypatch.setattr(Simulator, "run", breaks)
    simulation = done(asked(new_price()))
    assert simulation.status == Simulation.Status.FAILED
    assert "Zero" not in simulation.problem


@pytest.mark.parametrize(
    ("start", "end", "param"),
    [
        (FEBRUARY, START, "from"),
        (START, START, "from"),
        (NOW + timedelta(days=1), NOW + timedelta(days=2), "from"),
        (START - timedelta(days=2000), START, "from"),
    ],
)
def test_a_window_without_sense_is_refused(
    old: PlanVersion, start: datetime, end: datetime, param: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        request_simulation([old], starts_at=start, ends_at=end)
    assert error.value.param == param


def test_a_window_ends_now_at_the_latest(old: PlanVersion) -> None:
    simulation = request_simulation([old], starts_at=START, ends_at=NOW + timedelta(days=30))
    assert simulation.ends_at == NOW


@pytest.mark.parametrize("count", [0, 11])
def test_none_and_too_many_versions_are_refused(old: PlanVersion, count: int) -> None:
    with pytest.raises(InvalidRequest) as error:
        asked(*[old] * count)
    assert error.value.param == "versions"


def test_the_database_keeps_rows_that_add_up(old: PlanVersion) -> None:
    customers(old, 5)
    simulation = done(asked(new_price()))
    row = simulation.rows.get()
    with pytest.raises(DatabaseError), transaction.atomic():
        SimulationRow.objects.filter(pk=row.pk).update(difference=row.difference + 1)
    row.pk = None
    with pytest.raises(DatabaseError), transaction.atomic():
        row.save()
