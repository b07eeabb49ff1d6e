"""`/v1/simulations` over HTTP, and `manage.py simulate`."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.keys import issue_api_key
from billing.simulations import run_simulations
from pricing.models import PlanVersion, Simulation
from pricing.plans import apply_plan
from tests.accounts.caller import Caller
from tests.billing.world import START, Tenant, make_tenant, make_version
from tests.clocks import standing_at
from tests.pricing.simulation.world import components, event, make_meters, report

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 2, 10, tzinfo=UTC)
MONTH = {"from": "2026-01-01T00:00:00Z", "to": "2026-02-01T00:00:00Z"}
FLAT = {"plan": "flat", "currency": "USD", "base_fees": [{"key": "platform", "amount": "3"}]}
in_february = standing_at(NOW)


@pytest.fixture
def tenants() -> list[Tenant]:
    """Three customers, who used 100, 300 and 500 units at 0.01."""
    make_meters()
    version = make_version(components("per_unit"))
    made = [make_tenant(version) for _ in range(3)]
    for tenant, tokens in zip(made, (100, 300, 500), strict=True):
        report(tenant, event("k", START + timedelta(days=20), str(tokens)))
    return made


def draft(**terms: Any) -> PlanVersion:
    """Twice the price and half a dollar less."""
    component = {"key": "per_unit", "meter": "tokens", "model": "graduated"}
    tiers = [{"up_to": "200", "unit_price": "0.001"}, {"up_to": None, "unit_price": "0.02"}]
    return apply_plan(
        {"plan": "new", "currency": "USD", "components": [component | {"tiers": tiers}]} | terms
    )


def test_a_simulation_is_asked_for_runs_and_is_read(caller: Caller, tenants: list[Tenant]) -> None:
    version = draft()
    answer = caller.post("/v1/simulations", {"versions": [version.public_id], "contents": [FLAT], **MONTH})
    assert answer.status == 202, answer.body
    assert answer.json["status"] == "queued"
    assert answer.json["from"] == MONTH["from"]
    assert run_simulations() == 1
    shown = caller.get(f"/v1/simulations/{answer.json['id']}").json
    assert (shown["status"], shown["payers_done"], shown["payers_total"]) == ("done", 3, 3)
    first, second = shown["totals"]
    # 100 x 0.001; 200 x 0.001 + 100 x 0.02; 200 x 0.001 + 300 x 0.02
    assert (first["current"], first["simulated"], first["difference"]) == ("9", "8.5", "-0.5")
    assert (first["winners"], first["losers"], first["growing"]) == (2, 1, 1)
    assert first["deciles"] == ["-0.9", "-0.9", "-0.9", "-0.9", "-0.8", "-0.8", "-0.8"] + ["1.2"] * 4
    assert (second["simulated"], second["difference"]) == ("9", "0")
    assert caller.get("/v1/simulations?status=done").json["data"][0]["id"] == shown["id"]


def test_rows_are_paged_and_filtered(caller: Caller, tenants: list[Tenant]) -> None:
    answer = caller.post("/v1/simulations", {"versions": [draft().public_id], **MONTH})
    run_simulations()
    path = f"/v1/simulations/{answer.json['id']}/rows"
    page = caller.get(f"{path}?limit=2").json
    assert [row["difference"] for row in page["data"]] == ["1.2", "-0.8"]
    assert [row["outcome"] for row in page["data"]] == ["loser", "winner"]
    rest = caller.get(f"{path}?limit=2&cursor={page['next_cursor']}").json
    assert [row["difference"] for row in rest["data"]] == ["-0.9"]
    assert not rest["has_more"]
    (loser,) = caller.get(f"{path}?outcome=loser").json["data"]
    assert loser["billing_entity"] == tenants[2].payer.public_id
    assert loser["lines"] == {"current": {"per_unit": "5"}, "simulated": {"per_unit": "6.2"}}
    assert len(caller.get(f"{path}?outcome=winner").json["data"]) == 2
    assert len(caller.get(f"{path}?outcome=unchanged").json["data"]) == 0
    # 1.2 of 5 is 24 %.
    assert len(caller.get(f"{path}?grows_by=23.9").json["data"]) == 1
    assert len(caller.get(f"{path}?grows_by=24").json["data"]) == 0
    assert len(caller.get(f"{path}?customer={tenants[0].customer.public_id}").json["data"]) == 1
    assert len(caller.get(f"{path}?version=1").json["data"]) == 0


def test_a_cohort_is_named_in_the_body(caller: Caller, tenants: list[Tenant]) -> None:
    cohort = {
        "billing_entities": [tenants[1].payer.external_id],
        "customers": [tenants[0].customer.public_id],
    }
    body = {"contents": [FLAT], "cohort": cohort, "grows_by": "200", **MONTH}
    answer = caller.post("/v1/simulations", body)
    run_simulations()
    (totals,) = caller.get(f"/v1/simulations/{answer.json['id']}").json["totals"]
    # 3 instead of 1 is 200 % more and not more than that; 3 instead of 3 is nothing.
    assert (totals["payers"], totals["growing"], totals["unchanged"]) == (2, 0, 1)


def test_a_simulation_is_called_off_once(caller: Caller, tenants: list[Tenant]) -> None:
    answer = caller.post("/v1/simulations", {"contents": [FLAT], **MONTH})
    canceled = caller.post(f"/v1/simulations/{answer.json['id']}/cancel", {})
    assert canceled.json["status"] == "canceled"
    assert run_simulations() == 0


def test_rows_are_exported_as_csv_that_no_spreadsheet_runs(caller: Caller, tenants: list[Tenant]) -> None:
    tenants[0].customer.name = '=HYPERLINK("http://evil")'
    tenants[0].customer.save()
    answer = caller.post("/v1/simulations", {"versions": [draft().public_id], **MONTH})
    run_simulations()
    export = caller.get(f"/v1/simulations/{answer.json['id']}/export")
    assert export.status == 200
    rows = list(csv.DictReader(io.StringIO(export.body.decode())))
    assert [row["difference"] for row in rows] == ["1.2", "-0.8", "-0.9"]
    assert rows[2]["customer_name"].startswith("'=")
    assert rows[2]["customer"] == tenants[0].customer.public_id
    assert rows[0]["cost"] == "0.01"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "versions"),
        ({"versions": ["pv_nothing"]}, "versions"),
        ({"contents": [{"plan": "x"}]}, "currency"),
        ({"contents": [{"plan": "x", "currency": "USD", "components": [{"key": "a"}]}]}, "components[0]"),
        ({"contents": [FLAT], "cohort": {"plan": "nothing"}}, "cohort"),
        ({"contents": [FLAT], "cohort": {"customers": ["nobody"]}}, "cohort"),
        ({"contents": [FLAT], "grows_by": "-1"}, "grows_by"),
        ({"contents": [FLAT], "to": "2025-01-01T00:00:00Z"}, "from"),
        ({"contents": [FLAT], "nonsense": 1}, "nonsense"),
    ],
)
def test_what_makes_no_sense_is_refused(caller: Caller, body: dict[str, Any], param: str) -> None:
    answer = caller.post("/v1/simulations", MONTH | body)
    assert 400 <= answer.status < 500, answer.body
    assert answer.error["param"] is not None
    assert answer.error["param"].startswith(param)
    assert not Simulation.objects.exists()


def test_a_customers_own_key_sees_no_simulation(tenants: list[Tenant]) -> None:
    caller = Caller(issue_api_key(workspace=tenants[0].workspace, name="k").secret)
    assert caller.get("/v1/simulations").status in (401, 403)


def test_the_command_simulates_a_file_beside_a_version(
    tenants: list[Tenant], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(
        "plan: per-call\ncurrency: USD\n"
        "meters:\n  - {key: every_call, event: completion, aggregation: count}\n"
        'components:\n  - {key: c, meter: every_call, model: per_unit, unit_price: "2"}\n'
    )
    words = ["--from", "2026-01-01", "--to", "2026-02-01", "--file", str(file)]
    call_command("simulate", "--version", draft().public_id, *words, "--csv", str(tmp_path / "rows.csv"))
    out = capsys.readouterr().out
    assert "3 payers" in out
    assert "new v1" in out
    simulation = Simulation.objects.get()
    assert [totals["simulated"] for totals in simulation.totals] == ["8.5", "6"]
    assert len((tmp_path / "rows.csv").read_text().splitlines()) == 7


def test_the_command_writes_csv_for_a_cohort(
    tenants: list[Tenant], capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = f"payer:{tenants[1].payer.external_id}"
    window = ["--from", "2026-01-01", "--to", "2026-02-01"]
    call_command("simulate", "--version", draft().public_id, *window, "--cohort", cohort, "--csv", "-")
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (row["billing_entity"], row["simulated"]) == (tenants[1].payer.public_id, "2.2")
    assert Decimal(row["difference"]) == Decimal("-0.8")


@pytest.mark.parametrize(
    "words",
    [
        ["--from", "2026-01-01", "--to", "2026-02-01"],
        ["--from", "yesterday", "--to", "2026-02-01", "--version", "pv_00000001"],
        ["--from", "2026-01-01", "--to", "2026-02-01", "--file", "nowhere.yaml"],
        ["--from", "2026-01-01", "--to", "2026-02-01", "--cohort", "moon:1"],
    ],
)
def test_the_command_says_what_is_wrong(words: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("simulate", *words)


def test_csv_is_given_to_who_asks_for_csv(caller: Caller, tenants: list[Tenant]) -> None:
    answer = caller.post("/v1/simulations", {"contents": [FLAT], **MONTH})
    run_simulations()
    headers = {"Authorization": f"Bearer {caller.secret}", "Accept": "text/csv"}
    export = caller.request("GET", f"/v1/simulations/{answer.json['id']}/export", headers=headers)
    assert export.status == 200
    assert export.headers["Content-Type"] == "text/csv; charset=utf-8"


def test_the_same_key_asks_once(caller: Caller, tenants: list[Tenant]) -> None:
    body = {"contents": [FLAT], **MONTH}
    first = caller.post("/v1/simulations", body, key="once")
    again = caller.post("/v1/simulations", body, key="once")
    assert (first.status, again.status) == (202, 202)
    assert first.json["id"] == again.json["id"]
    assert Simulation.objects.count() == 1
