"""Jobs over the API: read how each does, ask for a run, resolve what was parked."""

from __future__ import annotations

from typing import Any

import pytest

from config.celery import app
from config.schedule import SCHEDULE
from core.jobs import find_job, run_job
from core.jobs.parking import park
from core.jobs.running import Trigger
from core.models import JobRequest, JobRun, ParkedMessage
from tests.accounts.caller import Caller, caller_with

pytestmark = pytest.mark.django_db
CLOSE = "billing.tasks.close_periods"


@pytest.fixture
def caller() -> Caller:
    return caller_with("admin")


@pytest.fixture
def reader() -> Caller:
    return caller_with("read")


def test_every_job_is_listed_in_its_order_with_what_it_does(reader: Caller) -> None:
    answer = reader.get("/v1/jobs")
    assert answer.status == 200
    assert (answer.json["has_more"], answer.json["next_cursor"]) == (False, None)
    assert [row["id"] for row in answer.json["data"]] == [due.task for due in SCHEDULE]
    first = answer.json["data"][0]
    assert first["does"] == "Make the monthly partitions of events and charges ahead of time"
    assert (first["every_seconds"], first["status"], first["last_run"]) == (3600.0, "never_ran", None)


def test_a_job_tells_of_its_last_run(reader: Caller) -> None:
    run = run_job(find_job(CLOSE), Trigger.SCHEDULE)
    assert run is not None
    row = reader.get(f"/v1/jobs/{CLOSE}").json
    assert (row["status"], row["failures"], row["error"], row["lag_seconds"]) == ("succeeded", 0, "", 0.0)
    assert row["last_run"]["id"] == run.public_id
    assert (row["last_run"]["trigger"], row["last_run"]["asked_by"]) == ("schedule", None)
    assert reader.get(f"/v1/job-runs/{run.public_id}").json == row["last_run"]


def test_a_job_that_is_none_is_404_and_an_unknown_parameter_400(caller: Caller) -> None:
    assert caller.get("/v1/jobs/os.abort").status == 404
    assert caller.post("/v1/jobs/os.abort/run", {}).status == 404
    assert caller.get("/v1/jobs", status="failed").error["code"] == "unknown_parameter"


def test_a_run_is_asked_for_once_by_its_key_and_audited(caller: Caller) -> None:
    answer = caller.request("POST", f"/v1/jobs/{CLOSE}/run", b"{}", {"Idempotency-Key": "k"})
    assert (answer.status, answer.json["is_asked_for"]) == (202, True)
    request = JobRequest.objects.get()
    assert request.asked_by.startswith("ik_") or request.asked_by.startswith("key_")
    event = JobRequest.pgh_event_model.objects.select_related("pgh_context").get()  # type: ignore[attr-defined]
    assert event.pgh_context.metadata["source"] == "api"
    run_job(find_job(CLOSE), Trigger.SCHEDULE)
    again = caller.request("POST", f"/v1/jobs/{CLOSE}/run", b"{}", {"Idempotency-Key": "k"})
    assert again.json == answer.json, "the first answer"
    assert JobRequest.objects.count() == 1
    assert caller.get(f"/v1/jobs/{CLOSE}").json["is_asked_for"] is False
    assert caller.get("/v1/job-runs").json["data"][0]["asked_by"] == request.asked_by


def test_a_key_that_may_only_read_asks_for_nothing(reader: Caller) -> None:
    message = park(ParkedMessage.Reason.RAISED, "e", task="t")
    assert message is not None
    for path in (f"jobs/{CLOSE}/run", f"parked-messages/{message.public_id}/drop"):
        assert reader.post(f"/v1/{path}", {}).error["code"] == "missing_scope"
    assert not JobRequest.objects.exists()
    assert Caller().get("/v1/jobs").status == 401


def test_runs_are_filtered_by_job_and_outcome(reader: Caller) -> None:
    for name in (CLOSE, "core.tasks.clear_sessions"):
        run_job(find_job(name), Trigger.COMMAND)
    assert JobRun.objects.count() == 2
    found = reader.get("/v1/job-runs", job=CLOSE).json["data"]
    assert [row["job"] for row in found] == [CLOSE]
    assert reader.get("/v1/job-runs", status="failed").json["data"] == []
    assert reader.get("/v1/job-runs", status="unheard").status == 400


def test_a_parked_message_is_sent_again_or_dropped_once(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(app, "send_task", lambda *args, **kwargs: sent.append(args))
    one = park(
        ParkedMessage.Reason.RAISED, "e1", task="t", message_id="1", arguments={"args": [1], "kwargs": {}}
    )
    two = park(ParkedMessage.Reason.UNREADABLE, "e2", body=b"junk")
    assert one is not None
    assert two is not None
    listed = caller.get("/v1/parked-messages", status="parked").json["data"]
    assert [(row["id"], row["reason"], row["error"]) for row in listed] == [
        (two.public_id, "unreadable", "e2"),
        (one.public_id, "raised", "e1"),
    ]
    answer = caller.post(f"/v1/parked-messages/{one.public_id}/send-again", {})
    assert (answer.status, answer.json["status"], sent) == (200, "sent_again", [("t", [1], {})])
    assert caller.post(f"/v1/parked-messages/{two.public_id}/drop", {}).json["status"] == "dropped"
    for verb in ("drop", "send-again"):
        answer = caller.post(f"/v1/parked-messages/{two.public_id}/{verb}", {})
        assert (answer.status, answer.error["code"]) == (409, "message_resolved")
    assert caller.get("/v1/parked-messages", status="parked").json["data"] == []
