"""A message that fails again and again is put aside, shown without secrets, and resolved once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from celery.app.task import Context
from celery.exceptions import Retry
from django.db import DatabaseError, IntegrityError, transaction

from config.celery import app
from core.errors import Conflict, Unprocessable
from core.jobs import Job, drop, send_again
from core.jobs.parking import BODY_MAX, park
from core.jobs.running import Trigger, start
from core.jobs.task import ATTEMPTS_MAX, park_unread, work_off
from core.models import JobRun, ParkedMessage
from tests.core.jobs import samples
from tests.core.jobs.conftest import GOOD, START, Machine

pytestmark = pytest.mark.django_db
Reason = ParkedMessage.Reason
SECRET = "tg_" + "0" * 32 + "abcdef"


class Delivery:
    """A message on its way into a task, delivered as often as a test says."""

    def __init__(self, task: Any, mark: str = "m1", *args: Any, **headers: Any) -> None:
        self.task, self.args = task, args
        self.context = Context(
            {"id": mark, "task": task.name, "called_directly": False, "delivery_info": {}, **headers}
        )
        self.pauses: list[Any] = []

    def arrives(self) -> None:
        self.task.request_stack.push(self.context)
        try:
            work_off(self.task, self.args, {})
        except Retry as again:
            self.pauses.append(again.when)
        finally:
            self.task.request_stack.pop()


@pytest.fixture(autouse=True)
def _no_queue(monkeypatch: pytest.MonkeyPatch, good: Job) -> list[Any]:
    """What would have been sent."""
    sent: list[Any] = []
    monkeypatch.setattr(
        "celery.canvas.Signature.apply_async", lambda self, *a, **k: sent.append((self.task, self.args))
    )
    return sent


def broken() -> None:
    raise ValueError(f"no use for {SECRET}")


def test_a_message_that_asks_for_a_job_runs_it_once(good: Job) -> None:
    Delivery(samples.good, due_at="2026-03-01T11:59:57Z").arrives()
    run = JobRun.objects.get()
    assert (run.trigger, run.status, run.message_id, run.waited) == ("schedule", "succeeded", "m1", 3.0)
    assert samples.done == ["good"]


def test_a_due_time_that_cannot_be_read_is_the_time_of_its_arrival(good: Job) -> None:
    Delivery(samples.good, due_at="yesterday").arrives()
    assert JobRun.objects.get().due_at == START


def test_a_job_that_fails_needs_no_parking_the_database_knows_what_is_due() -> None:
    samples.then["good"] = broken
    for number in range(ATTEMPTS_MAX + 2):
        Delivery(samples.good, f"m{number}").arrives()
    assert JobRun.objects.filter(status="failed").count() == ATTEMPTS_MAX + 2
    assert not ParkedMessage.objects.exists()


def test_a_message_that_kills_its_worker_again_and_again_is_parked_and_the_job_goes_on(
    machine: Machine,
) -> None:
    for _ in range(ATTEMPTS_MAX):  # each time the worker dies, the broker delivers it again
        start(GOOD, Trigger.SCHEDULE, due_at=None, message_id="deadly")
        machine.passes(seconds=30)
        JobRun.objects.filter(status="running").update(
            status="lost", finished_at=machine.now, error="It died."
        )
    Delivery(samples.good, "deadly").arrives()
    message = ParkedMessage.objects.get()
    assert (message.reason, message.attempts, message.error) == ("crashed", ATTEMPTS_MAX, "It died.")
    assert samples.done == []
    Delivery(samples.good, "the next").arrives()
    assert samples.done == ["good"]


def test_any_other_message_is_tried_again_with_growing_pauses_and_then_parked() -> None:
    samples.then["told"] = broken
    delivery = Delivery(samples.told, "m2", "what")
    for _ in range(ATTEMPTS_MAX):
        delivery.arrives()
    assert delivery.pauses == [5.0, 10.0, 20.0]
    message = ParkedMessage.objects.get()
    assert (message.reason, message.attempts) == ("raised", ATTEMPTS_MAX)
    assert message.arguments == {"args": ["what"], "kwargs": {}}
    assert message.error == "ValueError: no use for [redacted]"
    assert set(JobRun.objects.values_list("trigger", "status")) == {("message", "failed")}


def test_a_message_that_goes_well_at_last_is_not_parked() -> None:
    samples.then["told"] = broken
    delivery = Delivery(samples.told, "m2", "what")
    delivery.arrives()
    samples.then.clear()
    delivery.arrives()
    assert not ParkedMessage.objects.exists()
    assert [run.status for run in JobRun.objects.order_by("pk")] == ["failed", "succeeded"]


def test_a_message_whose_worker_died_is_lost_and_tried_again() -> None:
    start(samples.told.name, Trigger.MESSAGE, due_at=None, message_id="m2")
    Delivery(samples.told, "m2", "what").arrives()
    assert [run.status for run in JobRun.objects.order_by("pk")] == ["lost", "succeeded"]


def test_what_cannot_be_read_is_kept_as_it_came() -> None:
    message = SimpleNamespace(
        body=b"\x80\x81" + SECRET.encode(),
        headers={"task": "t", "id": "m3", "authorization": "Bearer x"},
        content_type="application/x-strange",
        content_encoding="binary",
    )
    park_unread(message, "ContentDisallowed: no")
    kept = ParkedMessage.objects.get()
    assert (kept.task, kept.message_id, kept.reason) == ("t", "m3", "unreadable")
    assert bytes(kept.body or b"") == message.body
    assert kept.headers == {"task": "t", "id": "m3"}


def test_the_same_message_is_parked_once_until_it_is_resolved() -> None:
    first = park(Reason.RAISED, "e", message_id="m")
    assert first is not None
    assert park(Reason.RAISED, "e", message_id="m") is None
    drop(first, "ops@example.com")
    assert park(Reason.RAISED, "e", message_id="m") is not None
    assert park(Reason.UNREADABLE, "e", body=b"1") is not None
    assert park(Reason.UNREADABLE, "e", body=b"1") is None, "without an id, the body is one"


def test_dropping_is_for_good_and_says_by_whom(machine: Machine) -> None:
    message = park(Reason.RAISED, "e", task="t")
    assert message is not None
    machine.passes(hours=1)
    dropped = drop(message, "ops@example.com")
    assert (dropped.status, dropped.resolved_by, dropped.resolved_at) == (
        "dropped",
        "ops@example.com",
        machine.now,
    )
    for verb in (drop, send_again):
        with pytest.raises(Conflict, match="dropped already"):
            verb(message, "someone@example.com")
    events = ParkedMessage.pgh_event_model.objects.order_by("pgh_id")  # type: ignore[attr-defined]
    assert [(event.status, event.resolved_by) for event in events] == [
        ("parked", ""),
        ("dropped", "ops@example.com"),
    ]


def test_sending_again_puts_the_same_task_and_arguments_into_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(app, "send_task", lambda *a, **k: sent.append(a))
    message = park(Reason.RAISED, "e", task="t", arguments={"args": [1], "kwargs": {"a": "b"}})
    assert message is not None
    assert send_again(message, "ops@example.com").status == "sent_again"
    assert sent == [("t", [1], {"a": "b"})]


def test_while_the_queue_is_away_nothing_has_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("redis://:hunter2@cache")

    monkeypatch.setattr(app, "send_task", away)
    message = park(Reason.RAISED, "e", task="t", arguments={"args": [], "kwargs": {}})
    assert message is not None
    with pytest.raises(Unprocessable, match="try again later") as refused:
        send_again(message, "ops@example.com")
    assert "hunter2" not in str(refused.value)
    message.refresh_from_db()
    assert (message.status, message.resolved_at) == ("parked", None)


def test_of_a_huge_message_the_beginning_is_kept_and_it_can_only_be_dropped() -> None:
    message = park(Reason.UNREADABLE, "e", body=b"x" * (BODY_MAX + 1))
    assert message is not None
    message.refresh_from_db()
    assert len(bytes(message.body or b"")) == BODY_MAX
    with pytest.raises(Unprocessable, match="beginning"):
        send_again(message, "ops@example.com")
    assert drop(message, "ops@example.com").status == "dropped"


def test_the_database_keeps_parked_messages_and_resolves_each_once() -> None:
    message = park(Reason.RAISED, "e")
    assert message is not None
    row = ParkedMessage.objects.filter(pk=message.pk)
    with pytest.raises(IntegrityError, match="parked_message_resolved"), transaction.atomic():
        row.update(status="dropped")
    drop(message, "ops@example.com")
    with pytest.raises(DatabaseError, match="resolved_once"), transaction.atomic():
        row.update(status="parked", resolved_at=None)
    with pytest.raises(DatabaseError, match="parked_message_stays"), transaction.atomic():
        row.delete()
