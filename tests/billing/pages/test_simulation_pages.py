"""The pages of simulations: asking, watching, and reading who wins and who loses."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.users import add_member, create_user
from billing.charging import Mode
from billing.rollouts import draft_rollout
from billing.simulations import run_simulations
from pricing.models import PlanVersion, Simulation
from pricing.plans import apply_plan
from tests.billing.pages.conftest import Sign, now_is, signed
from tests.billing.pages.reading import page, read, rows, words
from tests.billing.world import Tenant, charge, make_tenant

pytestmark = pytest.mark.django_db
JANUARY = {"start": "2026-01-01", "end": "2026-01-31", "grows_by": "10"}


@pytest.fixture
def second(version: PlanVersion) -> PlanVersion:
    """A draft: a third of the price, and a fee of 5."""
    cheaper = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.003"}
    fee = {"key": "platform", "amount": "5", "timing": "in_advance", "prorate": True}
    return apply_plan(version.content | {"components": [cheaper], "base_fees": [fee]})


@pytest.fixture
def small(acme: Tenant) -> Tenant:
    """Acme used little: 2.00 now, 5.90 then."""
    charge(acme, "a", Mode.REPORT, properties={"tokens": 300})
    return acme


@pytest.fixture
def large(version: PlanVersion) -> Tenant:
    """Another used much: 10 for 1,000 after the free ones, 20 for the rest: 30 now, 20.30 then."""
    tenant = make_tenant(version, time_zone="America/New_York")
    charge(tenant, "b", Mode.REPORT, properties={"tokens": 5100})
    return tenant


@pytest.fixture
def done(small: Tenant, large: Tenant, second: PlanVersion, staff: Client) -> Simulation:
    """A simulation of January, which is over, that has run."""
    now_is(datetime(2026, 2, 2, tzinfo=UTC))
    ask(staff, second)
    run_simulations()
    return Simulation.objects.get()


def ask(client: Client, *versions: PlanVersion, status: int = 200, **more: Any) -> str:
    """What comes of the form."""
    form = JANUARY | {"versions": [version.public_id for version in versions]} | more
    response = client.post("/simulations/new", form, follow=True)
    assert response.status_code == status, response.content.decode()[:1500]
    return words(response.content.decode())


def test_the_form_begins_with_the_last_three_months_and_the_version_of_the_address(
    staff: Client, second: PlanVersion
) -> None:
    markup = page(staff, f"/simulations/new?version={second.public_id}")
    assert 'value="2025-10-01"' in markup
    assert 'value="2025-12-31"' in markup
    assert f'value="{second.public_id}" id="id_versions_' in markup
    assert markup.count("checked") == 1
    assert f'value="{second.plan.public_id}" selected' in markup


def test_a_simulation_waits_for_a_worker_and_the_page_asks_again(staff: Client, second: PlanVersion) -> None:
    text = ask(staff, second)
    assert "Waiting for a worker" in text
    row = Simulation.objects.get()
    assert (row.status, row.created_by) == ("queued", "finance@operator.example")
    assert (row.starts_at, row.grows_by) == (datetime(2026, 1, 1, tzinfo=UTC), Decimal(10))
    part = page(staff, f"/simulations/{row.public_id}/progress", htmx="progress")
    assert 'hx-trigger="every 2s"' in part
    run_simulations()
    response = staff.get(
        f"/simulations/{row.public_id}/progress", headers={"hx-request": "true", "hx-target": "progress"}
    )
    assert (response.status_code, response["HX-Redirect"]) == (204, f"/simulations/{row.public_id}")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"versions": []}, "This field is required."),
        ({"start": "2026-03-01", "end": "2026-03-31"}, "The window must begin in the past"),
        ({"customers": "nobody"}, "There is no customer 'nobody'."),
        ({"grows_by": "-1"}, "greater than or equal to 0"),
        ({"start": "soon"}, "Enter a valid date."),
    ],
)
def test_a_form_that_makes_no_sense_asks_nothing(
    staff: Client, second: PlanVersion, change: dict[str, Any], says: str
) -> None:
    assert says in ask(staff, second, status=422, **change)
    assert not Simulation.objects.exists()


def test_the_result_says_what_all_would_pay(
    staff: Client, done: Simulation, small: Tenant, large: Tenant
) -> None:
    text = read(staff, f"/simulations/{done.public_id}")
    # Now 2.00 + 10 + 4,000 x 0.005 = 32.00; then 300 x 0.003 + 5100 x 0.003 + 2 x 5 = 26.20.
    assert "Revenue would be USD 26.20" in text
    assert "now USD 32.00" in text
    assert "Difference USD -5.80" in text
    assert "Pay less 1" in text
    assert "Pay more 1" in text
    assert "Bill grows by more than 10 % 1" in text
    found = {row["customer"]: row for row in rows(staff, f"/simulations/{done.public_id}?export=csv")}
    loser, winner = found[small.customer.name], found[large.customer.name]
    assert (loser["row_current"], loser["row_simulated"], loser["outcome"]) == ("2", "5.9", "loser")
    assert (winner["row_current"], winner["row_simulated"], winner["outcome"]) == ("30", "20.3", "winner")
    assert loser["growth"] == "1.95"


def test_payers_are_filtered_by_outcome_and_growth(
    staff: Client, done: Simulation, small: Tenant, large: Tenant
) -> None:
    def names(query: str) -> list[str]:
        return [row["customer"] for row in rows(staff, f"/simulations/{done.public_id}?export=csv&{query}")]

    assert names("outcome=winner") == [large.customer.name]
    assert names("outcome=loser") == [small.customer.name]
    assert names("outcome=unchanged") == []
    assert names("grows_by=194") == [small.customer.name]
    assert names("grows_by=195") == []
    assert len(names("grows_by=nonsense&outcome=x")) == 2
    address = f"/simulations/{done.public_id}?outcome=winner"
    fragment = page(staff, address, htmx=f"payers-{done.public_id}-table")
    assert large.customer.name in fragment
    assert "<main" not in fragment


def test_the_spread_is_drawn_with_its_figures_in_a_table(staff: Client, done: Simulation) -> None:
    markup = page(staff, f"/simulations/{done.public_id}")
    assert 'data-chart="spread-data"' in markup
    assert "Figures as a table" in markup
    assert "Most USD 3.90" in words(markup).replace("\u2013 ", "")
    assert "USD -9.70" in words(markup)


def test_several_versions_stand_in_tabs(
    staff: Client, small: Tenant, version: PlanVersion, second: PlanVersion
) -> None:
    now_is(datetime(2026, 2, 2, tzinfo=UTC))
    ask(staff, version, second)
    run_simulations()
    row = Simulation.objects.get()
    same = read(staff, f"/simulations/{row.public_id}")
    assert "Pay the same 1" in same
    other = read(staff, f"/simulations/{row.public_id}?of=1")
    kept = page(staff, f"/simulations/{row.public_id}?of=1&outcome=loser")
    assert '<input type="hidden" name="of" value="1">' in kept, "a filter stays with its version"
    assert 'href="?of=1">Clear all' in kept
    assert "Pay more 1" in other
    for nonsense in ("9", "x", "-1", "\u00b2"):
        assert "Pay the same 1" in read(staff, f"/simulations/{row.public_id}?of={nonsense}")


def test_a_simulation_is_called_off(staff: Client, second: PlanVersion) -> None:
    ask(staff, second)
    row = Simulation.objects.get()
    assert "it charges nobody either way" in read(staff, f"/simulations/{row.public_id}/cancel/ask")
    response: Any = staff.post(f"/simulations/{row.public_id}/cancel", follow=True)
    assert "It was called off." in words(response.content.decode())
    assert run_simulations() == 0
    run_simulations()
    row.refresh_from_db()
    assert row.status == "canceled"


def test_a_planned_price_change_shows_its_simulations(
    staff: Client, done: Simulation, second: PlanVersion, small: Tenant
) -> None:
    planned = draft_rollout(second, timing="on_date", effective_at=datetime(2026, 6, 1, tzinfo=UTC))
    markup = page(staff, f"/price-changes/{planned.public_id}")
    assert f"/simulations/{done.public_id}" in markup
    assert f"/simulations/new?version={second.public_id}" in markup


@pytest.mark.parametrize("group", ["admin", "finance", "ops", "read_only"])
def test_every_group_of_staff_may_look(sign_in: Sign, done: Simulation, group: str) -> None:
    reader = sign_in("admin") if group == "finance" else sign_in(group)
    for address in ("/simulations", f"/simulations/{done.public_id}"):
        page(reader, address)


@pytest.mark.parametrize("group", ["ops", "read_only"])
def test_who_may_not_change_prices_asks_for_none(sign_in: Sign, done: Simulation, group: str) -> None:
    person = sign_in(group)
    assert "Run a simulation" not in read(person, "/simulations")
    page(person, "/simulations/new", 403)
    assert person.post("/simulations/new", JANUARY).status_code == 403
    assert person.post(f"/simulations/{done.public_id}/cancel").status_code == 403


def test_a_member_finds_none(acme: Tenant, done: Simulation) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    for address in ("/simulations", "/simulations/new", f"/simulations/{done.public_id}"):
        page(signed(user), address, 404)


def test_what_is_not_there_is_not_found(staff: Client, second: PlanVersion) -> None:
    for address in ("/simulations/sim_00000zzz", "/simulations/x/progress", "/simulations/new?version=pv_x"):
        page(staff, address, 404)
