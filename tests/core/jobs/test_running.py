"""One wrapper runs every job: what it did stands in the database, and never two at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from core import clock
from core.errors import InvalidRequest, NotFound
from core.jobs import Job, find_job, job_states, jobs, run_job
from core.jobs.asking import request_run
from core.jobs.catalogue import interval_text
from core.jobs.running import ENDED_EARLY, Status, Trigger, finish, start
from core.jobs.states import prune_job_runs
from core.models import JobRequest, JobRun
from core.sql_locks import session_lock
from tests.core.jobs import samples
from tests.core.jobs.conftest import GOOD, OTHER, START, Machine

pytestmark = pytest.mark.django_db


def fail(text: str = "it broke") -> Callable[[], object]:
    def work() -> None:
        raise RuntimeError(text)

    return work


def test_a_job_is_a_row_of_the_schedule_with_the_words_of_its_task(good: Job) -> None:
    assert [job.name for job in jobs()] == [GOOD, OTHER]
    assert (good.title, good.does, good.interval) == ("Good", "Do something useful", "minute")


def test_a_name_that_is_no_jobs_is_not_found(good: Job) -> None:
    with pytest.raises(NotFound, match=r"no job 'os\.abort'"):
        find_job("os.abort")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (60, "minute"),
        (3600, "hour"),
        (86400, "day"),
        (10, "10 seconds"),
        (7200, "2 hours"),
        (0.5, "0.5 seconds"),
    ],
)
def test_an_interval_is_said_in_words(seconds: float, words: str) -> None:
    assert interval_text(seconds) == words


def test_a_run_notes_when_it_was_due_when_it_began_and_how_it_ended(good: Job, machine: Machine) -> None:
    samples.then["good"] = lambda: machine.passes(seconds=3)
    due = START - timedelta(seconds=7)
    run = run_job(good, Trigger.SCHEDULE, due_at=due, message_id="m1")
    assert run is not None
    stored = JobRun.objects.get()
    assert (stored.job, stored.trigger, stored.status) == (GOOD, "schedule", "succeeded")
    assert (stored.due_at, stored.started_at, stored.finished_at) == (
        due,
        START,
        START + timedelta(seconds=3),
    )
    assert (stored.waited, stored.seconds, stored.message_id, stored.error) == (7.0, 3.0, "m1", "")
    assert samples.done == ["good"]


def test_what_a_task_raises_ends_in_the_run_and_nowhere_else(good: Job) -> None:
    samples.then["good"] = fail("no luck with postgres://u:hunter2secret@db/x\nDETAIL: and more")
    run = run_job(good, Trigger.SCHEDULE)
    assert run is not None
    stored = JobRun.objects.get()
    assert stored.status == "failed"
    assert stored.error == "RuntimeError: no luck with postgres://[redacted]@db/x"


def test_an_error_of_the_database_is_a_failure_like_any_other(good: Job) -> None:
    def work() -> None:
        with transaction.atomic():
            JobRun.objects.create(
                job="x", trigger="schedule", status="nonsense" * 9, due_at=START, started_at=START
            )

    samples.then["good"] = work
    assert run_job(good, Trigger.SCHEDULE).status == "failed"  # type: ignore[union-attr]
    assert "DataError" in JobRun.objects.get().error


def test_failures_in_a_row_are_counted_until_it_goes_well(good: Job, other: Job, machine: Machine) -> None:
    samples.then["good"] = fail()
    for _ in range(3):
        run_job(good, Trigger.SCHEDULE)
        machine.passes(minutes=1)
    run_job(other, Trigger.SCHEDULE)
    bad, fine = job_states()
    assert (bad.failures, bad.error, bad.status, bad.good_at) == (3, "RuntimeError: it broke", "failed", None)
    assert (fine.failures, fine.error, fine.status) == (0, "", "succeeded")
    samples.then.clear()
    run_job(good, Trigger.SCHEDULE)
    again = job_states()[0]
    assert (again.failures, again.error, again.good_at) == (0, "", machine.now)


def test_next_and_lag_follow_from_the_last_start(good: Job, machine: Machine) -> None:
    never = job_states([good])[0]
    assert (never.status, never.next_at, never.lag) == ("never_ran", START, timedelta(0))
    run_job(good, Trigger.SCHEDULE)
    machine.passes(seconds=50)
    soon = job_states([good])[0]
    assert (soon.next_at, soon.lag, soon.is_overdue) == (START + timedelta(seconds=60), timedelta(0), False)
    machine.passes(seconds=30)
    assert (job_states([good])[0].lag, job_states([good])[0].is_overdue) == (timedelta(seconds=20), False)
    machine.passes(seconds=60)
    late = job_states([good])[0]
    assert (late.lag, late.is_overdue, late.status) == (timedelta(seconds=80), True, "overdue")


def test_a_run_that_goes_on_is_never_late(good: Job, machine: Machine) -> None:
    start(good.name, Trigger.SCHEDULE, due_at=None, message_id="")
    machine.passes(hours=1)
    state = job_states([good])[0]
    assert (state.is_running, state.lag, state.status) == (True, timedelta(0), "running")


def test_states_take_three_statements_however_many_runs_there_are(
    good: Job, other: Job, django_assert_num_queries: object
) -> None:
    for _ in range(5):
        run_job(good, Trigger.SCHEDULE)
        run_job(other, Trigger.SCHEDULE)
    with django_assert_num_queries(3):  # type: ignore[operator]
        job_states()


def test_the_database_refuses_two_runs_of_a_job_at_once(good: Job) -> None:
    start(good.name, Trigger.SCHEDULE, due_at=None, message_id="")
    with pytest.raises(IntegrityError, match="one_run_of_a_job_at_a_time"), transaction.atomic():
        start(good.name, Trigger.COMMAND, due_at=None, message_id="")
    start("another", Trigger.COMMAND, due_at=None, message_id="")
    for _ in range(2):
        start(good.name, Trigger.MESSAGE, due_at=None, message_id="")


def test_while_it_runs_elsewhere_it_is_left_alone(good: Job) -> None:
    with session_lock(f"job:{good.name}") as is_held:
        assert is_held
        assert run_job(good, Trigger.SCHEDULE) is None
    assert samples.done == []
    assert not JobRun.objects.exists()
    assert run_job(good, Trigger.SCHEDULE) is not None


def test_a_task_that_starts_itself_again_does_not_run_twice(good: Job) -> None:
    inner: list[object] = []
    samples.then["good"] = lambda: inner.append(run_job(good, Trigger.COMMAND))
    run_job(good, Trigger.SCHEDULE)
    assert (inner, samples.done) == ([None], ["good"])


def test_a_run_whose_process_died_is_lost_and_the_next_one_begins(good: Job, machine: Machine) -> None:
    died = start(good.name, Trigger.SCHEDULE, due_at=None, message_id="")
    machine.passes(minutes=5)
    run = run_job(good, Trigger.SCHEDULE)
    assert run is not None
    died.refresh_from_db()
    assert (died.status, died.finished_at, died.error) == ("lost", machine.now, ENDED_EARLY)
    assert run.status == "succeeded"


def test_who_was_given_up_and_comes_back_changes_nothing(good: Job) -> None:
    slow = start(good.name, Trigger.SCHEDULE, due_at=None, message_id="")
    run_job(good, Trigger.SCHEDULE)
    finish(slow, Status.SUCCEEDED)
    assert JobRun.objects.get(pk=slow.pk).status == "lost"


def test_a_finished_run_stays_as_it_is(good: Job) -> None:
    run = run_job(good, Trigger.SCHEDULE)
    assert run is not None
    for change in ({"status": "failed"}, {"error": "x"}, {"started_at": START - timedelta(days=1)}):
        with pytest.raises(DatabaseError, match="job_run_stays"), transaction.atomic():
            JobRun.objects.filter(pk=run.pk).update(**change)


def test_a_run_has_an_end_exactly_when_it_does_not_run(good: Job) -> None:
    run = start(good.name, Trigger.SCHEDULE, due_at=None, message_id="")
    for change in ({"finished_at": START}, {"status": "succeeded"}):
        with pytest.raises(IntegrityError, match="job_run_ends_once"), transaction.atomic():
            JobRun.objects.filter(pk=run.pk).update(**change)


def test_another_now_than_the_machines_is_noted(good: Job) -> None:
    instant = datetime(2031, 5, 6, tzinfo=UTC)
    clock.use(lambda: instant)
    try:
        run_job(good, Trigger.COMMAND)
    finally:
        clock.use(None)
    assert JobRun.objects.get().as_if_at == instant
    run_job(good, Trigger.COMMAND)
    assert JobRun.objects.latest("pk").as_if_at is None


def test_a_request_is_taken_by_the_next_run_whatever_starts_it(good: Job, machine: Machine) -> None:
    request = request_run(good, "ops@example.com")
    state = job_states([good])[0]
    assert (state.request, state.next_at) == (request, START)
    machine.passes(seconds=4)
    run = run_job(good, Trigger.SCHEDULE)
    assert run is not None
    assert (run.trigger, run.request, run.waited) == ("request", request, 4.0)
    assert JobRequest.objects.get().taken_at == machine.now
    assert job_states([good])[0].request is None
    assert run_job(good, Trigger.SCHEDULE).trigger == "schedule"  # type: ignore[union-attr]


def test_asking_twice_before_it_runs_is_one_request(good: Job, other: Job) -> None:
    first, second = request_run(good, "a@example.com"), request_run(good, "b@example.com")
    assert first == second
    assert request_run(other, "b@example.com") != first
    run_job(good, Trigger.SCHEDULE)
    assert request_run(good, "b@example.com") != first


def test_who_asked_stands_in_the_audit_trail(good: Job) -> None:
    request_run(good, "ops@example.com")
    events = JobRequest.pgh_event_model.objects.all()  # type: ignore[attr-defined]
    assert [(event.pgh_label, event.job, event.asked_by) for event in events] == [
        ("insert", GOOD, "ops@example.com")
    ]


def test_old_runs_go_but_each_jobs_last_ones_stay(good: Job, other: Job, machine: Machine) -> None:
    run_job(other, Trigger.SCHEDULE)
    kept = run_job(good, Trigger.SCHEDULE)
    samples.then["good"] = fail()
    failed = run_job(good, Trigger.SCHEDULE)
    machine.passes(hours=25)
    assert prune_job_runs() == 0, "each is a last one, or a failure of this month"
    samples.then.clear()
    run_job(good, Trigger.SCHEDULE)
    assert prune_job_runs() == 1
    assert kept not in JobRun.objects.all()
    machine.passes(days=30)
    run_job(good, Trigger.SCHEDULE)
    assert prune_job_runs() == 2
    assert failed not in JobRun.objects.all()
    assert sorted(JobRun.objects.values_list("job", flat=True)) == [GOOD, OTHER]


def test_a_lock_is_one_holders_and_goes_with_its_connection() -> None:
    with session_lock("x") as first, session_lock("x") as second, session_lock("y") as third:
        assert (first, second, third) == (True, False, True)
    for _ in range(50):  # it is given back at once, not when the server notices a closed connection
        with session_lock("x") as again:
            assert again


def test_an_error_that_is_ours_is_told_in_its_own_words(good: Job) -> None:
    def work() -> None:
        raise InvalidRequest("bad", "The plan has no price.")

    samples.then["good"] = work
    run_job(good, Trigger.SCHEDULE)
    assert JobRun.objects.get().error == "The plan has no price."
