"""A real worker and a real beat: poison stops nothing, and what Redis loses is found by the database.

In one file, because all share one installation, which takes long to make.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final
from uuid import uuid4

import psycopg
import pytest

from tests.core.jobs.workshop import Workshop

SOON: Final = "billing.tasks.expire_authorizations"
"""A job of every ten seconds."""
HOURLY: Final = "core.tasks.make_partitions"
PARKED: Final = "SELECT reason, task, error, status FROM core_parkedmessage WHERE message_id = %s"
RUNS: Final = "SELECT status FROM core_jobrun WHERE job = %s ORDER BY id DESC LIMIT %s"
ASK: Final = "INSERT INTO core_jobrequest (job, asked_at, asked_by) VALUES (%s, %s, 'ops@example.com')"
TAKEN: Final = "SELECT taken_at IS NOT NULL FROM core_jobrequest ORDER BY id DESC LIMIT 1"


@pytest.fixture(scope="module")
def _opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    workshop = Workshop(tmp_path_factory.mktemp("jobs") / "var")
    with workshop:
        yield workshop


@pytest.fixture
def workshop(_opened: Workshop) -> Workshop:
    """Everything runs at the test's start."""
    _opened.redis.start()
    for name in ("worker", "beat"):
        _opened.start(name)
    return _opened


def message(task: str | None, body: bytes, *, content_type: str = "application/json", **headers: Any) -> Any:
    """(id, a message as it lies in Redis)."""
    mark = uuid4().hex
    named = {} if task is None else {"task": task, "id": mark, "lang": "py", "root_id": mark}
    envelope = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": content_type,
        "headers": named | headers,
        "properties": {
            "correlation_id": mark,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": mark,
        },
    }
    return mark, json.dumps(envelope)


def call(*args: Any) -> bytes:
    return json.dumps([args, {}, {}]).encode()


def test_what_is_due_runs_and_beat_and_worker_say_that_they_live(workshop: Workshop) -> None:
    workshop.wait_for_run(SOON)
    kinds = workshop.wait_for(lambda: {kind for (kind,) in workshop.rows("SELECT kind FROM core_heartbeat")})
    assert kinds == {"beat", "worker"}
    trigger, waited = workshop.rows(
        "SELECT trigger, started_at - due_at FROM core_jobrun WHERE job = %s ORDER BY id LIMIT 1", SOON
    )[0]
    assert trigger == "schedule"
    assert 0 <= waited.total_seconds() < 30


def test_poison_is_parked_and_stops_nothing(workshop: Workshop) -> None:
    unknown, no_task = message("billing.tasks.of_tomorrow", call())
    strange, no_json = message(SOON, b"\x80\x81 no json")
    foreign, no_type = message(SOON, b"cos\nsystem\n.", content_type="application/x-python-serialize")
    _, nobodys = message(None, b'{"hello": "tg_00000000000000000000000000000000abcdef"}')
    wrong, arguments = message(SOON, call("an", "argument"))
    queue = workshop.queue()
    began = datetime.now(UTC)
    for one in (no_task, no_json, no_type, nobodys, "no envelope", '{"body": 7}', arguments):
        queue.lpush("celery", one)
    for mark, reason in ((unknown, "unknown_task"), (strange, "unreadable"), (foreign, "unreadable")):
        found = workshop.wait_for(partial(workshop.rows, PARKED, mark))
        assert [(row[0], row[3]) for row in found] == [(reason, "parked")]
    assert workshop.rows(PARKED, unknown)[0][1:3] == (
        "billing.tasks.of_tomorrow",
        "There is no task 'billing.tasks.of_tomorrow' here.",
    )
    nameless = (
        "SELECT encode(body, 'escape') FROM core_parkedmessage WHERE reason = 'unreadable' AND task = ''"
    )
    workshop.wait_for(lambda: len(workshop.rows(nameless)) == 3)
    bodies = {body for (body,) in workshop.rows(nameless)}
    assert {"no envelope", '{"body": 7}'} < bodies
    workshop.wait_for_run(SOON, after=began)
    assert wrong  # it takes no arguments: it is tried again, and parked in the end
    tried = "SELECT status, error FROM core_jobrun WHERE message_id = %s"
    status, error = workshop.wait_for(lambda: workshop.rows(tried, wrong))[0]
    assert status == "failed"
    assert "argument" in error


def test_what_lay_in_redis_when_it_was_lost_is_done_all_the_same(workshop: Workshop) -> None:
    workshop.wait_for_run(HOURLY)
    workshop.stop("worker")
    queue = workshop.queue()
    workshop.rows(ASK, HOURLY, datetime.now(UTC))

    def lies_there() -> bool:
        return any(json.loads(one)["headers"]["task"] == HOURLY for one in queue.lrange("celery", 0, -1))

    workshop.wait_for(lies_there)
    began = datetime.now(UTC)
    queue.flushall()
    workshop.redis.kill9()
    workshop.redis.start()
    workshop.start("worker")
    workshop.wait_for_run(SOON, after=began)
    workshop.wait_for_run(HOURLY, after=began)
    assert workshop.rows(TAKEN) == [(True,)]


def test_a_killed_workers_run_is_lost_and_the_next_one_is_not_kept_from_running(workshop: Workshop) -> None:
    workshop.wait_for_run(SOON)
    with psycopg.connect(workshop.postgres.dsn) as blocker:
        blocker.execute("LOCK TABLE billing_authorization IN ACCESS EXCLUSIVE MODE")
        began = datetime.now(UTC)
        workshop.wait_for(lambda: workshop.rows(RUNS, SOON, 1) == [("running",)])
        workshop.kill("worker")
        blocker.rollback()
    workshop.start("worker")
    workshop.wait_for_run(SOON, after=began)
    assert ("lost",) in workshop.rows(RUNS, SOON, 5)
