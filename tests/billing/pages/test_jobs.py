"""The page of jobs: what is scheduled, how it does, and what somebody may do about it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from config.schedule import SCHEDULE
from core import clock
from core.jobs import catalogue, find_job, run_job
from core.jobs.parking import park
from core.jobs.running import Trigger
from core.models import Heartbeat, JobRequest, JobRun, ParkedMessage
from tests.billing.pages.conftest import NOW, Sign, signed
from tests.billing.pages.reading import read, words

pytestmark = pytest.mark.django_db
CLOSE = "billing.tasks.close_periods"
SECRET = "tg_" + "0" * 32 + "abcdef"


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "system_now", lambda: NOW)


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Let a run of `close_periods` fail."""

    def work() -> None:
        raise RuntimeError(f"period 7 has no price {SECRET}")

    def run() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(catalogue, "import_string", lambda path: work)
            run_job(find_job(CLOSE), Trigger.SCHEDULE)

    return run


def alive(seconds_ago: int = 1) -> None:
    seen = NOW - timedelta(seconds=seconds_ago)
    for kind in ("beat", "worker"):
        Heartbeat.objects.update_or_create(
            name=kind, defaults={"kind": kind, "started_at": seen, "seen_at": seen}
        )


def test_every_job_stands_there_with_what_it_does(staff: Client) -> None:
    text = read(staff, "/jobs")
    for due in SCHEDULE:
        job = find_job(due.task)
        assert job.title in text
        assert job.does in text
    assert text.count("Never ran") == len(SCHEDULE)


def test_what_fails_comes_first_with_its_sentence_and_without_its_secret(
    staff: Client, broken: Callable[[], None]
) -> None:
    alive()
    for _ in range(3):
        broken()
    response = staff.get("/jobs")
    text = words(response.content.decode())
    assert "3 in a row" in text
    assert "RuntimeError: period 7 has no price [redacted]" in text
    assert SECRET not in response.content.decode()
    assert text.index("Close periods") < text.index("Make partitions")


@pytest.mark.parametrize("address", ["/jobs", "/"])
def test_silence_of_beat_and_workers_is_said_where_people_look(staff: Client, address: str) -> None:
    assert "Neither beat nor a worker has been heard of." in read(staff, address)
    alive()
    assert "Nothing of what is due runs by itself" not in read(staff, address)
    alive(seconds_ago=61)
    assert "Beat and workers are silent." in read(staff, address)
    Heartbeat.objects.filter(kind="worker").update(seen_at=NOW)
    assert "Beat is silent." in read(staff, address)
    Heartbeat.objects.filter(kind="beat").update(seen_at=NOW)
    Heartbeat.objects.filter(kind="worker").delete()
    assert "No worker is heard of." in read(staff, address)


def test_the_history_of_a_job_is_listed(staff: Client, broken: Callable[[], None]) -> None:
    broken()
    run_job(find_job(CLOSE), Trigger.COMMAND)
    run_job(find_job("core.tasks.clear_sessions"), Trigger.SCHEDULE)
    text = read(staff, f"/jobs/{CLOSE}")
    assert "RuntimeError: period 7 has no price [redacted]" in text
    assert "run_due" in text
    assert text.count("Succeeded") >= 2
    only = read(staff, f"/jobs/{CLOSE}?status=failed")
    assert "run_due" not in only
    assert staff.get("/jobs/os.abort").status_code == 404


def test_operations_may_run_a_job_now_and_that_is_noted(sign_in: Sign) -> None:
    ops = sign_in("ops")
    assert "Run now" in read(ops, f"/jobs/{CLOSE}")
    question = read(ops, f"/jobs/{CLOSE}/run/ask")
    assert "what is done already it does not do twice" in question
    assert ops.get(f"/jobs/{CLOSE}/run").status_code == 405
    response = ops.post(f"/jobs/{CLOSE}/run")
    assert (response.status_code, response["Location"]) == (302, f"/jobs/{CLOSE}")
    request = JobRequest.objects.get()
    assert (request.job, request.asked_by) == (CLOSE, "ops@operator.example")
    event = JobRequest.pgh_event_model.objects.select_related("pgh_context").get()  # type: ignore[attr-defined]
    assert event.pgh_context.metadata["actor"] == "ops@operator.example"
    assert "asked for by ops@operator.example" in read(ops, "/jobs")
    ops.post(f"/jobs/{CLOSE}/run")
    assert JobRequest.objects.count() == 1
    run_job(find_job(CLOSE), Trigger.SCHEDULE)
    assert "Run now" in read(ops, f"/jobs/{CLOSE}?status=succeeded")
    assert JobRun.objects.get().request == request


@pytest.mark.parametrize("group", ["finance", "read_only"])
def test_others_may_look_and_not_touch(sign_in: Sign, group: str) -> None:
    someone = sign_in(group)
    message = park(ParkedMessage.Reason.RAISED, "e", task="t")
    assert message is not None
    assert "Run now" not in read(someone, f"/jobs/{CLOSE}")
    assert "Send again" not in read(someone, f"/parked-messages/{message.public_id}")
    for address in (f"/jobs/{CLOSE}/run", f"/parked-messages/{message.public_id}/drop"):
        assert someone.post(address).status_code == 403
        assert someone.get(f"{address}/ask").status_code == 403
    assert not JobRequest.objects.exists()
    assert ParkedMessage.objects.get().status == "parked"


def test_nobody_else_knows_of_the_pages(django_user_model: type[User]) -> None:
    member = django_user_model.objects.create(email="m@customer.example")
    for address in ("/jobs", f"/jobs/{CLOSE}"):
        assert signed(member).get(address).status_code == 404
        assert Client().get(address).status_code == 302


def test_a_parked_message_is_shown_without_its_secrets_and_dropped_once(sign_in: Sign) -> None:
    ops = sign_in("ops")
    body = f'{{"authorization": "Bearer {SECRET}", "dsn": "postgres://u:hunter22@db/x", "n": 7}}'
    message = park(ParkedMessage.Reason.UNREADABLE, "DecodeError: no", task="t", body=body.encode())
    assert message is not None
    listed = read(ops, "/jobs")
    assert "DecodeError: no" in listed
    assert "Cannot be read" in listed
    response = ops.get(f"/parked-messages/{message.public_id}")
    assert "hunter22" not in response.content.decode()
    assert SECRET not in response.content.decode()
    assert '"n": 7' in words(response.content.decode())
    assert "never worked off" in read(ops, f"/parked-messages/{message.public_id}/drop/ask")
    ops.post(f"/parked-messages/{message.public_id}/drop")
    again = ops.post(f"/parked-messages/{message.public_id}/drop", follow=True)
    assert "This message is dropped already." in words(again.content.decode())
    text = read(ops, f"/parked-messages/{message.public_id}")
    assert "by ops@operator.example" in text
    assert "Send again" not in text
    assert ops.post(f"/parked-messages/{message.public_id}/burn").status_code == 404
    assert ops.get("/parked-messages/pmsg_00000zzz").status_code == 404


def test_the_list_can_be_taken_along(staff: Client, broken: Callable[[], None]) -> None:
    broken()
    response = staff.get("/jobs?j-export=csv")
    lines = b"".join(response).decode().splitlines()
    assert len(lines) == len(SCHEDULE) + 1
    assert CLOSE in lines[1]


def test_the_pages_statements_do_not_grow(staff: Client, broken: Callable[[], None]) -> None:
    def counted(address: str) -> int:
        staff.get(address)
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(address).status_code == 200
        return len(queries)

    broken()
    park(ParkedMessage.Reason.RAISED, "e", task="t")
    few = [counted("/jobs"), counted(f"/jobs/{CLOSE}")]
    for number in range(12):
        broken()
        park(ParkedMessage.Reason.RAISED, "e", task="t", message_id=f"m{number}")
    assert [counted("/jobs"), counted(f"/jobs/{CLOSE}")] == few
    assert few == [8, 7]
