"""Real servers and processes, killed or changed in the middle of a load.

What was acknowledged is there once, and after a retry the rest is too. In one file, because all share one
installation, which takes long to make.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any
from urllib.request import urlopen

import psutil
import psycopg
import pytest

from accounts.secrets import INTEGRATION, new_secret
from benchmarks.calls import Callers
from benchmarks.installation import HOST, Installation
from core.ids import hot_id
from tests.faults.bodies import MB, Memory, bomb, hang_up, send, zeros
from tests.faults.clients import Client, Crowd, HoldClient
from tests.faults.metered import MeteredApi

STORED = """
    SELECT e.idempotency_key, c.amount FROM metering_usageevent e
    LEFT JOIN billing_charge c ON c.customer_id = e.customer_id AND c.event_id = e.id
    WHERE e.idempotency_key LIKE %s"""
PAID = """
    SELECT e.idempotency_key, e.properties ->> 'tokens' FROM metering_usageevent e
    JOIN billing_charge c ON c.customer_id = e.customer_id AND c.event_id = e.id
    WHERE e."user" = %s"""
HELD_FOR = "SELECT id FROM billing_authorization WHERE status = 'authorized' AND payload ->> 'user' = %s"
HOLDS = "SELECT customer_id, id, status, captured_amount FROM billing_authorization"
STILL_HELD = "SELECT customer_id, held FROM billing_ledgeraccount WHERE held <> 0"
SUSPEND = """
    UPDATE accounts_billingentity SET status = %s WHERE customer_id =
        (SELECT customer_id FROM accounts_workspace WHERE external_id = %s)"""
ISSUE = """
    INSERT INTO accounts_integrationkey (name, prefix, fingerprint, scopes, created_at)
    SELECT 'Second', prefix, %s, scopes, created_at FROM accounts_integrationkey LIMIT 1"""
REVOKE = "UPDATE accounts_integrationkey SET revoked_at = created_at WHERE fingerprint = %s"
BODY_MAX = 32 * MB
SLACK = 24 * MB
"""What a process takes for itself when it meets something for the first time."""
BOMBS = 6
KEYS = 40
CALLS = 16
"""Each on a connection of its own; the system deals these to both processes."""

_numbers = count()


def test_a_killed_web_worker_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "worker") as crowd:
        crowd.wait_for(30)
        for _ in range(2):
            _workers(installation)[0].kill()
            crowd.wait_for(30)
    _check_acknowledged(installation, crowd, "worker")


def test_a_killed_web_server_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "server") as crowd:
        crowd.wait_for(30)
        installation.kill("web")
        installation.start_web()
        crowd.wait_for(30)
    _check_acknowledged(installation, crowd, "server")


def test_a_killed_postgres_loses_no_charge(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "postgres") as crowd:
        crowd.wait_for(30)
        installation.postgres.kill9()
        installation.postgres.start()
        crowd.wait_for(30)
    _check_acknowledged(installation, crowd, "postgres")


def test_killed_workers_and_a_killed_postgres_leave_no_hold_behind(
    installation: Installation, callers: Callers
) -> None:
    with Crowd(installation, callers, "holds", kind=HoldClient) as crowd:
        crowd.wait_for(30)
        _workers(installation)[0].kill()
        crowd.wait_for(30)
        installation.postgres.kill9()
        installation.postgres.start()
        crowd.wait_for(30)
    with psycopg.connect(installation.postgres.dsn) as connection:
        stored = {
            hot_id("auth", customer_id, uuid): (status, amount)
            for customer_id, uuid, status, amount in connection.execute(HOLDS).fetchall()
        }
        assert connection.execute(STILL_HELD).fetchall() == []
    voided = [hold for client in crowd.clients if isinstance(client, HoldClient) for hold in client.voided]
    captured = {hold: ("captured", amount) for hold, amount in crowd.charged.items()}
    assert stored == captured | dict.fromkeys(voided, ("voided", None))


def test_while_postgres_is_down_callers_hear_that_it_is_us(
    installation: Installation, callers: Callers
) -> None:
    with Crowd(installation, callers, "down", size=4) as crowd:
        crowd.wait_for(10)
        installation.postgres.kill9()
        installation.postgres.start()
        crowd.wait_for(10)
    assert all(failure.startswith("50") for failure in crowd.failures)
    assert not any("Traceback" in failure or "psycopg" in failure for failure in crowd.failures)


def test_without_redis_charges_and_events_go_on(installation: Installation, callers: Callers) -> None:
    with Crowd(installation, callers, "redis") as crowd:
        crowd.wait_for(20)
        installation.redis.kill9()
        crowd.wait_for(40)
        with urlopen(f"http://{HOST}:{installation.port}/readyz", timeout=10) as response:
            ready = json.loads(response.read())
        installation.redis.start()
        crowd.wait_for(20)
    assert crowd.failures == []
    assert "redis" in json.dumps(ready)


def test_a_suspended_payer_is_refused_by_every_process(installation: Installation, callers: Callers) -> None:
    assert _statuses(installation, callers) == {201: CALLS}
    _change(installation, SUSPEND, "suspended", callers.workspaces[0])
    assert _statuses(installation, callers) == {402: CALLS}
    _change(installation, SUSPEND, "active", callers.workspaces[0])
    assert _statuses(installation, callers) == {201: CALLS}


def test_a_revoked_integration_key_is_refused_by_every_process(
    installation: Installation, callers: Callers
) -> None:
    second = new_secret(INTEGRATION)
    _change(installation, ISSUE, second.fingerprint)
    callers = replace(callers, secret=second.text)
    assert _statuses(installation, callers) == {201: CALLS}
    _change(installation, REVOKE, second.fingerprint)
    assert _statuses(installation, callers) == {401: CALLS}


def test_one_key_that_both_processes_hear_at_once_is_charged_once(
    installation: Installation, callers: Callers
) -> None:
    def work(number: int) -> list[tuple[str, int, Any]]:
        client = Client("shared", installation, callers)
        keys = [f"shared-{key}" for key in range(KEYS)]
        if number % 2:
            keys.reverse()  # so that locks are asked for in every order
        events = [client.event(key, int(key.rpartition("-")[2])) for key in keys]
        if number % 4 == 3:
            status, body = client.post("/v1/events", {"events": events})
            assert (status, body["accepted"] + body["duplicates"]) == (200, KEYS)
            return []
        return [(event["idempotency_key"], *client.post("/v1/charges", event)) for event in events]

    with ThreadPoolExecutor(CALLS) as pool:
        answers = [
            answer
            for future in [pool.submit(work, one) for one in range(CALLS)]
            for answer in future.result()
        ]
    assert Counter(status for _, status, _ in answers).keys() <= {200, 201}
    charges: dict[str, set[str]] = {}
    for key, _, body in answers:
        charges.setdefault(key, set()).add(body["id"])
    assert {len(ids) for ids in charges.values()} == {1}
    with psycopg.connect(installation.postgres.dsn) as connection:
        stored = connection.execute(STORED, ("shared-%",)).fetchall()
    assert len(stored) == len(dict(stored)) == KEYS


def test_an_api_that_fails_open_serves_on_and_every_call_is_paid_once(
    installation: Installation, callers: Callers
) -> None:
    with MeteredApi(installation, callers, "open", "open") as api:
        api.wait_for(200, 30)
        installation.kill("web")
        api.wait_for(200, 30)
        installation.start_web()
        api.wait_for(200, 30)
    assert api.statuses.keys() == {200}
    assert _paid(installation, "open") == {Decimal(7): api.statuses[200]}
    with psycopg.connect(installation.postgres.dsn) as connection:
        assert connection.execute(HELD_FOR, ("open",)).fetchall() == []


def test_an_api_that_fails_closed_answers_503_and_charges_only_what_it_served(
    installation: Installation, callers: Callers
) -> None:
    with MeteredApi(installation, callers, "closed", "closed") as api:
        api.wait_for(200, 30)
        installation.stop("web")
        api.wait_for(503, 30)
        installation.start_web()
        api.wait_for(200, 30)
    assert api.statuses.keys() == {200, 503}
    assert _paid(installation, "closed") == {Decimal(7): api.statuses[200]}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/charges"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_of_50_mb_is_refused_and_not_kept(
    installation: Installation, callers: Callers, path: str, is_chunked: bool
) -> None:
    headers = {} if is_chunked else {"Content_Length": str(50 * MB)}
    with Memory(_workers(installation)) as memory:
        status, body = send(installation.port, path, callers.secret, zeros(50), **headers)
    assert (status, body["error"]["type"], body["error"]["code"]) == (413, "too_large", "body_too_large")
    assert memory.growth < BODY_MAX + SLACK
    assert _statuses(installation, callers) == {201: CALLS}


def test_a_gzip_bomb_is_refused_before_it_has_grown(installation: Installation, callers: Callers) -> None:
    packed = bomb(1024)
    assert len(packed) < 2 * MB
    headers = {"Content_Encoding": "gzip", "Content_Length": str(len(packed))}
    for path in ("/v1/events", "/v1/charges"):
        with Memory(_workers(installation)) as memory:
            status, body = send(installation.port, path, callers.secret, [packed], **headers)
        assert (status, body["error"]["type"], body["error"]["code"]) == (413, "too_large", "body_too_large")
        assert memory.growth < BODY_MAX + SLACK


def test_many_bombs_at_once_stay_within_what_their_number_may_hold(
    installation: Installation, callers: Callers
) -> None:
    packed = bomb(256)
    headers = {"Content_Encoding": "gzip", "Content_Length": str(len(packed))}
    work = partial(send, installation.port, "/v1/events", callers.secret, [packed], **headers)
    with Memory(_workers(installation)) as memory, ThreadPoolExecutor(BOMBS) as pool:
        answers = [future.result() for future in [pool.submit(work) for _ in range(BOMBS)]]
    assert Counter(status for status, _ in answers) == {413: BOMBS}
    assert memory.growth < BOMBS * BODY_MAX + SLACK
    assert _statuses(installation, callers) == {201: CALLS}


@pytest.mark.parametrize(
    ("packed", "code"),
    [
        pytest.param(b"no gzip at all", "invalid_gzip", id="not packed"),
        pytest.param(gzip.compress(b"{}")[:-4], "invalid_gzip", id="cut off"),
        pytest.param(gzip.compress(b"{}") * 200, "invalid_gzip", id="many parts"),
        pytest.param(gzip.compress(b'{"events": [') * 2, "invalid_json", id="half a body twice"),
        pytest.param(gzip.compress(b"\xff\xfe"), "invalid_utf8", id="no UTF-8"),
        pytest.param(gzip.compress(b'{"events": 7}'), "invalid_type", id="no list"),
    ],
)
def test_a_packed_body_that_is_broken_is_told_as_such_by_the_real_server(
    installation: Installation, callers: Callers, packed: bytes, code: str
) -> None:
    headers = {"Content_Encoding": "gzip", "Content_Length": str(len(packed))}
    status, body = send(installation.port, "/v1/events", callers.secret, [packed], **headers)
    assert (status, body["error"]["code"]) == (400, code)


def test_a_caller_who_hangs_up_in_the_middle_of_a_body_charges_nothing_and_harms_nobody(
    installation: Installation, callers: Callers
) -> None:
    whole = json.dumps(Client("half", installation, callers).event("half-charge", 0)).encode()
    for path in ("/v1/charges", "/v1/events"):
        for sent in (b"", whole[: len(whole) // 2]):
            hang_up(installation.port, path, callers.secret, sent, announced=len(whole))
    assert _statuses(installation, callers) == {201: CALLS}
    with psycopg.connect(installation.postgres.dsn) as connection:
        assert connection.execute(STORED, ("half-%",)).fetchall() == []


def _change(installation: Installation, statement: str, *values: Any) -> None:
    with psycopg.connect(installation.postgres.dsn) as connection:
        assert connection.execute(statement.encode(), values).rowcount == 1


def _paid(installation: Installation, name: str) -> Counter[Decimal]:
    """How many charges there are for each number of tokens, of a metered API's calls."""
    with psycopg.connect(installation.postgres.dsn) as connection:
        rows = connection.execute(PAID, (name,)).fetchall()
    assert len(rows) == len({key for key, _ in rows}), "each key once"
    return Counter(Decimal(tokens) for _, tokens in rows)


def _statuses(installation: Installation, callers: Callers) -> Counter[int]:
    statuses: Counter[int] = Counter()
    for _ in range(CALLS):
        client = Client("processes", installation, callers)
        status, _ = client.post("/v1/charges", client.event(f"processes-{next(_numbers)}", 0))
        statuses[status] += 1
    return statuses


def _workers(installation: Installation) -> list[psutil.Process]:
    """The web server's worker processes, oldest first."""
    children = psutil.Process(installation.web_group).children()
    workers = [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]
    return sorted(workers, key=lambda worker: worker.create_time())


def _check_acknowledged(installation: Installation, crowd: Crowd, name: str) -> None:
    with psycopg.connect(installation.postgres.dsn) as connection:
        rows: list[tuple[str, Decimal]] = connection.execute(STORED, (f"{name}-%",)).fetchall()
    stored = dict(rows)
    assert len(rows) == len(stored), "each key once"
    assert stored.keys() == crowd.charged.keys() | set(crowd.reported)
    assert {key: stored[key] for key in crowd.charged} == crowd.charged
    assert None not in stored.values(), "each is charged"
