"""One table says what runs when."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.utils.module_loading import import_string

from config import schedule
from config.management.commands import run_due
from core import clock
from core.jobs import catalogue
from core.models import JobRun
from core.partitions import MONTHS_AHEAD
from core.sql_locks import session_lock


@pytest.mark.parametrize("due", schedule.SCHEDULE, ids=lambda due: due.task)
def test_every_row_names_a_task_under_its_celery_name(due: schedule.Due) -> None:
    task = import_string(due.task)
    assert task.name == due.task
    assert due.every > 0


def test_no_task_has_two_rows() -> None:
    names = [due.task for due in schedule.SCHEDULE]
    assert len(names) == len(set(names))


@pytest.mark.django_db
def test_run_due_runs_every_row_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_due")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [due.task for due in schedule.SCHEDULE]
    assert {line.split()[1] for line in lines} == {"succeeded,"}
    runs = JobRun.objects.order_by("pk")
    assert [(run.job, run.trigger, run.status) for run in runs] == [
        (due.task, "command", "succeeded") for due in schedule.SCHEDULE
    ]


@pytest.mark.django_db
def test_run_due_sets_the_clock_for_itself_only(tasks: dict[str, Callable[[], object]]) -> None:
    seen = []
    for due in schedule.SCHEDULE:
        tasks[due.task] = lambda: seen.append(clock.now())
    call_command("run_due", now="2031-05-06T07:08:09Z")
    assert seen == [datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)] * len(schedule.SCHEDULE)
    assert set(JobRun.objects.values_list("as_if_at", flat=True)) == set(seen)
    assert clock.now().year < 2031


@pytest.mark.django_db
def test_a_task_that_fails_stops_no_other_and_is_reported_at_the_end(
    tasks: dict[str, Callable[[], object]], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [due.task for due in schedule.SCHEDULE]
    done = []

    def fail() -> None:
        raise RuntimeError("it broke")

    for name in names:
        tasks[name] = lambda name=name: done.append(name)  # type: ignore[misc]
    tasks[names[0]] = tasks[names[3]] = fail
    with pytest.raises(CommandError) as failed:
        call_command("run_due")
    assert failed.value.returncode == 1
    assert str(failed.value).splitlines() == [
        f"2 of {len(names)} tasks failed:",
        f"  {names[0]}: RuntimeError: it broke",
        f"  {names[3]}: RuntimeError: it broke",
    ]
    assert done == [name for number, name in enumerate(names) if number not in (0, 3)]
    assert len(capsys.readouterr().out.splitlines()) == len(names)


@pytest.mark.django_db
def test_run_due_runs_only_what_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_due", only=["core.tasks.clear_sessions"])
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["core.tasks.clear_sessions"]
    with pytest.raises(CommandError, match="no job 'clear_sessions'"):
        call_command("run_due", only=["clear_sessions"])


@pytest.mark.django_db
def test_run_due_waits_for_a_run_elsewhere_and_says_so_if_that_takes_too_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_due, "PATIENCE", 0.2)
    name = "core.tasks.clear_sessions"
    with session_lock(f"job:{name}"), pytest.raises(CommandError, match="runs elsewhere"):
        call_command("run_due", only=[name])
    assert "runs elsewhere" in capsys.readouterr().out
    assert not JobRun.objects.exists()


@pytest.fixture
def tasks(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], object]]:
    """What the tasks do instead of their work."""
    found: dict[str, Callable[[], object]] = {}
    monkeypatch.setattr(catalogue, "import_string", lambda path: found[path])
    return found


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(CommandError, match="offset"):
        call_command("run_due", now="2031-05-06T07:08:09")


def test_partitions_are_made_ahead() -> None:
    assert MONTHS_AHEAD >= 1
