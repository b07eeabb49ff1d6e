"""One table says what runs when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.utils.module_loading import import_string

from config import schedule
from config.celery import app
from config.management.commands import run_due
from core import clock
from core.partitions import MONTHS_AHEAD


@pytest.mark.parametrize("due", schedule.SCHEDULE, ids=lambda due: due.task)
def test_every_row_names_a_task_under_its_celery_name(due: schedule.Due) -> None:
    task = import_string(due.task)
    assert task.name == due.task
    assert due.every > 0


def test_no_task_has_two_rows() -> None:
    names = [due.task for due in schedule.SCHEDULE]
    assert len(names) == len(set(names))


def test_beat_runs_the_table_and_drops_what_waited_too_long() -> None:
    assert set(app.conf.beat_schedule) == {due.task for due in schedule.SCHEDULE}
    for row in app.conf.beat_schedule.values():
        assert row["options"]["expires"] == row["schedule"]


@pytest.mark.django_db
def test_run_due_runs_every_row_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("run_due")
    assert capsys.readouterr().out.split() == [due.task for due in schedule.SCHEDULE]


def test_run_due_sets_the_clock_for_itself_only(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(run_due, "import_string", lambda path: lambda: seen.append(clock.now()))
    call_command("run_due", now="2031-05-06T07:08:09Z")
    assert set(seen) == {datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)}
    assert clock.now().year < 2031


def test_an_instant_without_an_offset_is_refused() -> None:
    with pytest.raises(CommandError, match="offset"):
        call_command("run_due", now="2031-05-06T07:08:09")


def test_partitions_are_made_ahead() -> None:
    assert MONTHS_AHEAD >= 1
