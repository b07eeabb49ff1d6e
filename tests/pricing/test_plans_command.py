"""`manage.py plans`: what each verb prints, and the exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from config.environment import BASE_DIR
from metering.models import Meter
from pricing.catalog.schema import plan_file_schema
from pricing.models import PlanVersion

METERS = "meters:\n  - {key: calls, event: call, aggregation: count}\n"
PLAN = """plan: pro
currency: USD
components:
  - {key: calls, meter: calls, model: per_unit, unit_price: "0.01"}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with a meter and a plan."""
    (tmp_path / "meters.yaml").write_text(METERS)
    (tmp_path / "pro.yaml").write_text(PLAN)
    return tmp_path


def run(*arguments: object) -> list[str]:
    """The lines that the command prints when all is well."""
    out = StringIO()
    call_command("plans", *map(str, arguments), stdout=out)
    return out.getvalue().splitlines()


def refused(*arguments: object) -> list[str]:
    """The lines that the command prints when something is wrong, the last word included."""
    err = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("plans", *map(str, arguments), stdout=StringIO(), stderr=err)
    assert caught.value.returncode == 1
    return [*err.getvalue().splitlines(), str(caught.value)]


def test_validate_counts_what_is_there_and_needs_no_database(folder: Path) -> None:
    assert run("validate", folder) == ["Valid: 1 plan, 1 meter."]


def test_validate_notes_a_meter_that_only_a_database_may_know(folder: Path) -> None:
    hint = "There is no meter 'calls' in use: define it under meters, or create it first."
    assert run("validate", folder / "pro.yaml") == [
        f"Note: {folder}/pro.yaml:4: components[0].meter: {hint}",
        "Valid: 1 plan.",
    ]


def test_validate_prints_every_problem_on_a_line_of_its_own(folder: Path) -> None:
    (folder / "pro.yaml").write_text(PLAN.replace('"0.01"', "0.01"))
    (folder / "team.yaml").write_text(PLAN.replace("USD", "usd").replace("pro", "team"))
    assert refused("validate", folder) == [
        (
            f"{folder}/pro.yaml:4: components[0].unit_price must be a decimal number in quotes:"
            ' "0.01", not 0.01.'
        ),
        "1 problem; nothing was changed.",
    ]
    (folder / "pro.yaml").write_text(PLAN.replace('"0.01"', "5"))
    assert refused("validate", folder) == [
        f'{folder}/pro.yaml:4: components[0].unit_price must be a decimal number in quotes, such as "12.5".',
        f"{folder}/team.yaml:2: currency must be a currency code in capitals, such as USD.",
        "2 problems; nothing was changed.",
    ]


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    lines = refused("validate", tmp_path / "missing.yaml")
    assert lines[0] == f"{tmp_path}/missing.yaml: The file cannot be read: No such file or directory."


@pytest.mark.django_db
def test_apply_says_what_became_of_each(folder: Path) -> None:
    assert run("apply", folder) == ["meter calls: created", "plan pro: draft v1 created"]
    assert run("apply", folder) == ["meter calls: unchanged", "plan pro: draft v1 unchanged"]
    (folder / "pro.yaml").write_text(PLAN.replace("0.01", "0.02"))
    assert run("apply", folder / "pro.yaml") == ["plan pro: draft v1 changed"]


@pytest.mark.django_db
def test_apply_and_publish_may_be_repeated(folder: Path) -> None:
    run("apply", folder)
    assert run("publish", "pro") == ["plan pro: v1 published"]
    assert run("apply", folder) == ["meter calls: unchanged", "plan pro: published v1 unchanged"]
    assert run("publish", "pro") == ["plan pro: no draft to publish, v1 is published"]
    assert run("publish", "--all") == ["No plan has a draft."]


@pytest.mark.django_db
def test_a_directory_is_applied_whole_or_not_at_all(folder: Path) -> None:
    (folder / "team.yaml").write_text(
        PLAN.replace("plan: pro", "plan: team").replace("meter: calls", "meter: nothing")
    )
    lines = refused("apply", folder)
    assert lines[0].startswith(
        f"{folder}/team.yaml:4: components[0].meter: There is no meter 'nothing' in use"
    )
    assert lines[-1] == "1 problem; nothing was changed."
    assert not PlanVersion.objects.exists()
    assert not Meter.objects.exists()


@pytest.mark.django_db
def test_publish_wants_to_know_what() -> None:
    assert refused("publish") == ["Name the plans to publish, or say --all."]
    assert refused("publish", "pro", "--all") == ["Name the plans to publish, or say --all."]
    assert refused("publish", "pro") == ["There is no plan 'pro'."]


@pytest.mark.django_db
def test_one_unknown_plan_keeps_the_others_unpublished(folder: Path) -> None:
    run("apply", folder)
    assert refused("publish", "pro", "por") == ["There is no plan 'por'."]
    assert PlanVersion.objects.get().status == "draft"


def changed(*arguments: object) -> list[str]:
    """The lines that `plans diff` prints when something is different."""
    out = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("plans", "diff", *map(str, arguments), stdout=out)
    assert caught.value.code == 2
    return out.getvalue().splitlines()


@pytest.mark.django_db
def test_diff_exits_with_two_when_something_changes_and_with_zero_when_nothing_does(folder: Path) -> None:
    assert changed(folder) == ["plan pro: new", "meter calls: created"]
    run("apply", folder)
    assert changed(folder) == ["plan pro: new"]
    run("publish", "pro")
    nothing = ["plan pro: no change against v1, which has 0 running subscriptions", "No change."]
    assert run("diff", folder) == nothing
    (folder / "pro.yaml").write_text(PLAN.replace("0.01", "0.02"))
    assert changed(folder) == [
        "plan pro: 1 change against v1, which has 0 running subscriptions",
        "  ~ components.calls.unit_price: 0.01 -> 0.02",
    ]
    assert PlanVersion.objects.count() == 1


@pytest.mark.django_db
def test_diff_speaks_json_to_programs(folder: Path) -> None:
    found = json.loads("\n".join(changed(folder, "--json")))
    assert found["has_changes"] is True
    assert [plan["plan"] for plan in found["plans"]] == ["pro"]
    assert found["others"] == [{"noun": "meter", "key": "calls", "action": "created"}]
    run("apply", folder)
    run("publish", "pro")
    assert json.loads("\n".join(run("diff", folder, "--json")))["has_changes"] is False


@pytest.mark.django_db
def test_diff_of_a_wrong_file_is_an_error(folder: Path) -> None:
    team = PLAN.replace("plan: pro", "plan: team").replace("meter: calls", "meter: no")
    (folder / "team.yaml").write_text(team)
    lines = refused("diff", folder)
    assert lines[0].startswith(f"{folder}/team.yaml:4: components[0].meter: There is no meter 'no' in use")
    assert lines[-1] == "1 problem; nothing was changed."


@pytest.mark.django_db
def test_retire_lets_nobody_start_any_more(folder: Path) -> None:
    run("apply", folder)
    run("publish", "pro")
    assert run("retire", "pro", "1") == ["plan pro: v1 retired"]
    assert refused("retire", "pro", "1") == ["pro v1 is retired: only a published one retires."]
    assert refused("retire", "pro", "2") == ["There is no version 2 of a plan 'pro'."]
    assert refused("retire", "team", "1") == ["There is no version 1 of a plan 'team'."]
    assert run("publish", "pro") == ["plan pro: no draft to publish, v1 is retired"]


@pytest.mark.django_db
def test_export_writes_what_apply_takes(folder: Path, tmp_path: Path) -> None:
    run("apply", folder)
    run("publish", "pro")
    written = tmp_path / "out.yaml"
    written.write_text("\n".join(run("export", "pro")))
    assert run("apply", written) == ["meter calls: unchanged", "plan pro: published v1 unchanged"]
    assert run("export") == run("export", "pro")
    assert refused("export", "team") == ["There is no plan 'team'."]


def test_schema_is_json_and_needs_no_database() -> None:
    found = json.loads("\n".join(run("schema")))
    assert found == plan_file_schema()


def test_the_command_exits_with_one_when_a_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("plan: [")
    command = [sys.executable, "manage.py", "plans", "validate", str(tmp_path)]
    done = subprocess.run(command, cwd=BASE_DIR, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "bad.yaml:2: Not YAML" in done.stderr or "bad.yaml:1: Not YAML" in done.stderr
    assert "Traceback" not in done.stderr
