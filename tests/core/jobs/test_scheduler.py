"""Beat sends what is due by what the database knows; what was lost on the way, it sends again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from config.celery import app
from core.jobs import Job, pulse, request_run, run_job
from core.jobs import scheduler as scheduling
from core.jobs.beating import forget_the_dead, note_alive
from core.jobs.running import Trigger
from core.jobs.scheduler import LONG_AGO, DatabaseScheduler, due_at
from core.models import Heartbeat
from tests.core.jobs.conftest import GOOD, OTHER, START, Machine

pytestmark = pytest.mark.django_db
MINUTELY = Job("m", timedelta(minutes=1))
HOURLY = Job("h", timedelta(hours=1))


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("job", "started", "sent", "is_asked", "expected"),
    [
        (MINUTELY, None, None, False, None),  # it never ran
        (MINUTELY, 0, None, False, 60),  # beat has just begun
        (MINUTELY, 1, 0, False, 61),  # it began after it was sent
        (MINUTELY, 0, 60, False, 120),  # sent and not begun: when the message has expired
        (HOURLY, 0, 3600, False, 3720),  # no job waits a whole interval for a lost message
        (HOURLY, None, 0, False, 120),
        (HOURLY, 0, None, True, None),  # somebody asked
        (HOURLY, 0, 10, True, 15),  # and it was sent for that
        (HOURLY, 20, 10, True, None),  # and that one was taken before the question
    ],
)
def test_when_a_message_goes_out(
    job: Job, started: float | None, sent: float | None, is_asked: bool, expected: float | None
) -> None:
    found = due_at(
        job, None if started is None else at(started), None if sent is None else at(sent), is_asked
    )
    assert found == (LONG_AGO if expected is None else at(expected))


class Beat:
    """A beat whose messages arrive nowhere, unless a test takes them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        monkeypatch.setattr(DatabaseScheduler, "producer", None)
        monkeypatch.setattr(app, "send_task", self.take)
        self.scheduler = DatabaseScheduler(app=app)

    def take(self, name: str, **options: Any) -> None:
        self.sent.append((name, options))

    def ticks(self) -> list[str]:
        """The jobs that one look sends."""
        before = len(self.sent)
        self.sleep = self.scheduler.tick()
        return [name for name, _ in self.sent[before:]]


@pytest.fixture
def beat(monkeypatch: pytest.MonkeyPatch, good: Job) -> Beat:
    return Beat(monkeypatch)


def test_at_first_everything_is_due_and_nothing_is_sent_twice(beat: Beat, machine: Machine) -> None:
    assert beat.ticks() == [GOOD, OTHER]
    machine.passes(seconds=1)
    assert beat.ticks() == []
    assert beat.sent[0][1]["expires"] == 60
    assert beat.sent[1][1]["expires"] == 120
    assert beat.sent[0][1]["headers"] == {"due_at": "2026-03-01T12:00:00Z"}


def test_what_ran_is_due_after_its_interval(beat: Beat, good: Job, other: Job, machine: Machine) -> None:
    beat.ticks()
    for job in (good, other):
        run_job(job, Trigger.SCHEDULE)
    machine.passes(seconds=59)
    assert beat.ticks() == []
    assert beat.sleep == pytest.approx(1.0)
    machine.passes(seconds=1)
    assert beat.ticks() == [GOOD]
    assert beat.sent[-1][1]["headers"] == {"due_at": "2026-03-01T12:01:00Z"}


def test_a_message_that_was_lost_is_sent_again_once_it_has_expired(beat: Beat, machine: Machine) -> None:
    beat.ticks()
    sent = []
    for _ in range(24):
        machine.passes(seconds=10)
        sent.append(beat.ticks())
    assert [names for names in sent if names] == [[GOOD], [GOOD, OTHER], [GOOD], [GOOD, OTHER]]
    assert sent.index([GOOD, OTHER]) == 11


def test_a_beat_that_starts_anew_goes_by_the_database(
    beat: Beat, good: Job, other: Job, machine: Machine
) -> None:
    run_job(other, Trigger.SCHEDULE)
    machine.passes(minutes=59)
    run_job(good, Trigger.SCHEDULE)
    assert beat.ticks() == []
    machine.passes(minutes=1)
    assert beat.ticks() == [GOOD, OTHER]


def test_a_run_that_somebody_asked_for_is_due_at_once(
    beat: Beat, good: Job, other: Job, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for job in (good, other):
        run_job(job, Trigger.SCHEDULE)
    machine.passes(seconds=5)
    assert beat.ticks() == []
    request_run(other, "ops@example.com")
    assert beat.ticks() == [OTHER]
    assert beat.ticks() == []
    machine.passes(seconds=5)
    assert beat.ticks() == [OTHER], "the first may have been lost"
    run_job(other, Trigger.SCHEDULE)
    machine.passes(seconds=5)
    assert beat.ticks() == []


def test_without_a_database_beat_goes_on_by_what_it_sent(
    beat: Beat, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    beat.ticks()

    def away(names: object) -> None:
        raise RuntimeError("PostgreSQL cannot be started")

    monkeypatch.setattr(scheduling, "last_starts", away)
    machine.passes(seconds=60)
    assert beat.ticks() == [GOOD]


def test_without_a_queue_beat_lives_and_tries_again(
    beat: Beat, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **options: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(app, "send_task", away)
    assert beat.ticks() == []
    monkeypatch.setattr(app, "send_task", beat.take)
    machine.passes(seconds=60)
    assert beat.ticks() == [GOOD]


def test_beat_says_that_it_lives_and_silence_is_seen(beat: Beat, machine: Machine) -> None:
    assert (pulse().beat, pulse().worker, pulse().is_well) == ("never", "never", False)
    beat.ticks()
    note_alive(Heartbeat.Kind.WORKER, START)
    assert (pulse().beat, pulse().worker, pulse().workers, pulse().is_well) == ("ok", "ok", 1, True)
    machine.passes(seconds=60)
    assert pulse().is_well
    machine.passes(seconds=1)
    note_alive(Heartbeat.Kind.WORKER, START)
    assert (pulse().beat, pulse().worker, pulse().is_well) == ("silent", "ok", False)
    machine.passes(seconds=61)
    assert (pulse().worker, pulse().workers) == ("silent", 0)


def test_who_was_silent_for_a_day_is_forgotten(machine: Machine) -> None:
    note_alive(Heartbeat.Kind.WORKER, START)
    machine.passes(days=1)
    forget_the_dead()
    assert pulse().worker == "silent"
    machine.passes(seconds=1)
    forget_the_dead()
    assert pulse().worker == "never"


def test_that_it_cannot_say_so_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(**kwargs: Any) -> None:
        raise ConnectionError

    monkeypatch.setattr(Heartbeat.objects, "update_or_create", away)
    assert note_alive(Heartbeat.Kind.BEAT, START) is False
