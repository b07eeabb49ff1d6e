"""The documented configuration in Debian's nginx, before a small API and two web processes of Tollgate."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Event

import psycopg
import pytest

from benchmarks.installation import HOST
from config.environment import BASE_DIR
from config.supervisor.programs import MANAGE
from core.ids import row_id
from tests.gateway.conftest import PRICE, Payer, Start, Tollgate
from tests.gateway.nginx import Nginx, Upstream

pytestmark = pytest.mark.nginx
CALLERS = 8
USERS = 'SELECT "user" FROM metering_usageevent WHERE api_key_id = %s'
CALLS = 16
"""Each on a connection of its own; the system deals these to both web processes."""


def test_calls_pass_until_the_balance_runs_out_and_the_next_is_stopped_before_the_api_sees_it(
    tollgate: Tollgate, upstream: Upstream, start: Start
) -> None:
    nginx, payer = start(), tollgate.payer("0.50")
    assert [nginx.get(f"/v1/{number}", payer.key).status for number in range(5)] == [200] * 5
    refused = nginx.get("/v1/6", payer.key)
    assert refused.status == 402
    assert refused.json["error"]["code"] == "insufficient_funds"
    assert refused.headers["X-Tollgate-Reason"] == "insufficient_funds"
    assert [path for _, path in upstream.seen] == [f"/v1/{number}" for number in range(5)]
    assert tollgate.balance(payer) == (Decimal("0.50"), Decimal("0.50"))
    assert "6 lines" not in tollgate.ingest(nginx.log)
    assert tollgate.balance(payer) == (Decimal(0), Decimal(0))


def test_the_log_settles_each_call_once_with_what_the_api_says_it_used(
    tollgate: Tollgate, upstream: Upstream, start: Start
) -> None:
    nginx, payer = start(), tollgate.payer("5")
    for path in ("/", "/use/3", '/use/{"quantity":0.5}', "/use/0"):
        assert nginx.get(path, payer.key).status == 200
    said = tollgate.ingest(nginx.log)
    assert "4 captured" in said
    assert charged(tollgate, payer, upstream) == [PRICE, PRICE * 3, PRICE / 2, 0]
    assert tollgate.balance(payer) == (Decimal("4.55"), Decimal(0))
    assert tollgate.ingest(nginx.log).startswith("0 lines")
    assert tollgate.balance(payer) == (Decimal("4.55"), Decimal(0))


def test_what_a_call_used_is_not_told_to_the_caller(start: Start, tollgate: Tollgate) -> None:
    answer = start().get("/use/3", tollgate.payer("5").key)
    assert not any(name.lower().startswith("x-tollgate") for name in answer.headers)


def test_a_call_that_failed_costs_nothing_and_frees_its_hold(
    tollgate: Tollgate, upstream: Upstream, start: Start
) -> None:
    nginx, payer = start(), tollgate.payer("1")
    assert nginx.get("/fail/500", payer.key).status == 500
    assert nginx.get("/fail/403", payer.key).status == 403  # the API's own, not ours
    upstream.is_down = True
    assert nginx.get("/", payer.key).status == 502
    assert tollgate.balance(payer) == (Decimal(1), PRICE * 3)
    assert "1 captured" in (said := tollgate.ingest(nginx.log))
    assert "2 voided" in said
    assert tollgate.balance(payer) == (1 - PRICE, Decimal(0))


def test_who_hangs_up_while_tollgate_is_asked_has_reached_nothing_and_pays_nothing(
    tollgate: Tollgate, upstream: Upstream, start: Start
) -> None:
    nginx, payer = start(), tollgate.payer("1")
    with psycopg.connect(tollgate.installation.postgres.dsn) as slow:
        slow.execute("LOCK TABLE billing_ledgeraccount IN ACCESS EXCLUSIVE MODE")
        with socket.create_connection((HOST, nginx.port)) as caller:
            caller.sendall(f"GET / HTTP/1.1\r\nHost: a\r\nX-Api-Key: {payer.key}\r\n\r\n".encode())
            time.sleep(0.3)
        deadline = time.monotonic() + 10
        while nginx.lines()[-1]["status"] != "499":
            assert time.monotonic() < deadline, "nginx does not notice"
            time.sleep(0.05)
    assert nginx.lines()[-1] | {"tollgate": "", "upstream": ""} == nginx.lines()[-1]
    assert "1 failed and free" in tollgate.ingest(nginx.log)
    assert (tollgate.balance(payer)[0], upstream.seen) == (Decimal(1), [])


def test_who_is_not_known_gets_a_401(tollgate: Tollgate, upstream: Upstream, start: Start) -> None:
    nginx = start()
    for headers in ({}, {"Authorization": "Bearer tk_invented"}, {"X-Api-Key": "x" * 600}):
        answer = nginx.send("GET", "/", headers)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert upstream.seen == []


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_the_key_may_stand_in_either_header_and_a_body_goes_to_the_api(
    tollgate: Tollgate, upstream: Upstream, start: Start, header: str
) -> None:
    nginx, payer = start(), tollgate.payer("1")
    assert nginx.send("POST", "/v1/x", {header: payer.key}, b"x" * 300_000).status == 200
    assert len(upstream.seen) == 1


def test_a_caller_cannot_say_what_it_pays_for(tollgate: Tollgate, upstream: Upstream, start: Start) -> None:
    nginx, payer = start(), tollgate.payer("1")
    own = {
        "X_Tollgate_Quantity": "0",
        "X_Tollgate_Event": "free_call",
        "X_Tollgate_Fail": "open",
        "X_Tollgate_Key": "tg_x",
        "X_Request_Id": "mine",
    }
    assert [nginx.get("/", payer.key, **own).status for _ in range(2)] == [200, 200]
    assert tollgate.balance(payer) == (Decimal(1), PRICE * 2)
    assert len({request_id for request_id, _ in upstream.seen} - {"mine"}) == 2


def test_a_change_is_obeyed_by_the_very_next_call_on_both_web_processes(
    tollgate: Tollgate, start: Start
) -> None:
    nginx, payer = start(), tollgate.payer("100")
    entity = f"/v1/billing-entities/{payer.id}"

    def answers() -> set[tuple[int, str]]:
        found = [nginx.get("/", payer.key) for _ in range(CALLS)]
        return {(answer.status, answer.headers.get("X-Tollgate-Reason", "")) for answer in found}

    assert answers() == {(200, "")}
    tollgate.send("PATCH", entity, {"status": "suspended"})
    assert answers() == {(402, "suspended")}
    tollgate.send("PATCH", entity, {"status": "active"})
    assert answers() == {(200, "")}
    tollgate.send("POST", f"/v1/api-keys/{payer.key_id}/revoke", {})
    assert {status for status, _ in answers()} == {401}


def test_a_closed_payer_is_told_so(tollgate: Tollgate, start: Start) -> None:
    nginx, payer = start(), tollgate.payer("100")
    tollgate.send("PATCH", f"/v1/billing-entities/{payer.id}", {"status": "closed"})
    answer = nginx.get("/", payer.key)
    assert (answer.status, answer.json["error"]["code"]) == (403, "closed")


def test_with_tollgate_stopped_under_load_fail_open_passes_and_settles_once_with_its_exposure(
    tollgate: Tollgate, upstream: Upstream, start: Start
) -> None:
    nginx, payer = start(fails_open=True), tollgate.payer("1")
    statuses = under_load(nginx, payer, tollgate)
    assert statuses.keys() <= {200, 402}
    lines = nginx.lines()
    unasked = [line for line in lines if line["tollgate"] == "" and line["status"] == "200"]
    assert unasked
    assert all(line["caller"] for line in unasked)
    assert not any(line["caller"] for line in lines if line["tollgate"])
    said = tollgate.ingest(nginx.log)
    assert "Passed without an answer" in said
    passed = {key: amount for key, amount, source in stored(tollgate, payer) if source == "fail_open"}
    assert passed.keys() <= {line["request_id"] for line in unasked}
    assert charged(tollgate, payer, upstream) == [PRICE] * len(upstream.seen)
    settled, held = tollgate.balance(payer)
    assert (settled, held) == (1 - PRICE * len(upstream.seen), 0)
    assert f"{-settled} below its floor" in said
    assert tollgate.ingest(nginx.log).startswith("0 lines")
    assert tollgate.balance(payer) == (settled, held)


def test_with_tollgate_stopped_under_load_fail_closed_gives_503_and_charges_what_was_served(
    tollgate: Tollgate, upstream: Upstream, start: Start
) -> None:
    nginx, payer = start(), tollgate.payer("10000")
    statuses = under_load(nginx, payer, tollgate)
    assert statuses.keys() == {200, 503}
    assert statuses[200] == len(upstream.seen)
    tollgate.ingest(nginx.log)
    assert charged(tollgate, payer, upstream) == [PRICE] * len(upstream.seen)
    assert not any(line["caller"] for line in nginx.lines())


@pytest.mark.parametrize(("fails_open", "status"), [(True, 200), (False, 503)])
def test_while_the_database_is_down_the_same_choice_holds(
    tollgate: Tollgate, upstream: Upstream, start: Start, fails_open: bool, status: int
) -> None:
    nginx, payer = start(fails_open=fails_open), tollgate.payer("10")
    assert nginx.get("/", payer.key).status == 200
    tollgate.installation.postgres.kill9()
    assert {nginx.get("/", payer.key).status for _ in range(CALLS)} == {status}
    tollgate.installation.postgres.start()
    assert {line["reason"] for line in nginx.lines()[-CALLS:]} == {
        "fail_open" if fails_open else "unavailable"
    }
    said = tollgate.ingest(nginx.log)
    assert charged(tollgate, payer, upstream) == [PRICE] * len(upstream.seen)
    assert (f"{CALLS} passed" in said) is ("Passed without an answer" in said) is fails_open


def test_a_follower_keeps_up_with_a_log_that_is_rotated_under_load(
    tollgate: Tollgate, upstream: Upstream, start: Start
) -> None:
    nginx, payer = start(), tollgate.payer("10000")
    installation = tollgate.installation
    follower = subprocess.Popen(
        [*MANAGE, "ingest_access_log", str(nginx.log), "--follow"],
        cwd=BASE_DIR,
        env=installation.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    stop = Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        work = [pool.submit(keep_calling, nginx, payer, stop) for _ in range(CALLERS)]
        for number in range(3):
            time.sleep(0.7)
            nginx.rotate(f"tollgate.log.{3 - number}")
        time.sleep(0.5)
        stop.set()
        assert {status for one in work for status in one.result()} == {200}
    deadline = time.monotonic() + 30
    while tollgate.balance(payer)[1]:
        assert time.monotonic() < deadline, "the follower does not come to the end"
        time.sleep(0.2)
    follower.terminate()
    assert follower.wait(30) == 0
    assert charged(tollgate, payer, upstream) == [PRICE] * len(upstream.seen)


def keep_calling(nginx: Nginx, payer: Payer, stop: Event) -> list[int]:
    """Call until told to stop; the statuses."""
    statuses = []
    while not stop.is_set():
        statuses.append(nginx.get("/", payer.key).status)
    return statuses


def under_load(nginx: Nginx, payer: Payer, tollgate: Tollgate) -> Counter[int]:
    """Callers at work while Tollgate's web server is stopped and started again; calls by status."""
    stop = Event()
    with ThreadPoolExecutor(CALLERS) as pool:
        work = [pool.submit(keep_calling, nginx, payer, stop) for _ in range(CALLERS)]
        time.sleep(1)
        tollgate.installation.stop("web")
        time.sleep(1)
        tollgate.installation.start_web()
        time.sleep(1)
        stop.set()
        return Counter(status for one in work for status in one.result())


def stored(tollgate: Tollgate, payer: Payer) -> list[tuple[str, Decimal, str]]:
    """(request id, amount, source) of the payer's charges."""
    statement = """
        SELECT coalesce(a.idempotency_key, e.idempotency_key), c.amount, e.source
        FROM accounts_apikey k
        JOIN metering_usageevent e ON e.customer_id = k.customer_id
        JOIN billing_charge c ON c.customer_id = e.customer_id AND c.event_id = e.id
        LEFT JOIN billing_authorization a ON a.customer_id = e.customer_id AND a.event_id = e.id
        WHERE k.id = %s"""
    rows = tollgate.rows(statement, row_id("key", payer.key_id))
    return [(key, amount, source) for key, amount, source in rows]


def charged(tollgate: Tollgate, payer: Payer, upstream: Upstream) -> list[Decimal]:
    """What each call that the API saw was charged, in the order it saw them; nothing else was."""
    amounts = Counter[str]()
    found: dict[str, Decimal] = {}
    for key, amount, _ in stored(tollgate, payer):
        amounts[key] += 1
        found[key] = amount
    assert set(amounts.values()) <= {1}, "each call once"
    assert found.keys() == {request_id for request_id, _ in upstream.seen}
    return [found[request_id] for request_id, _ in upstream.seen]


def test_every_line_is_json_whatever_a_caller_sends(tollgate: Tollgate, start: Start) -> None:
    nginx, payer = start(), tollgate.payer("10")
    own = {"Authorization": f"Bearer {payer.key}"}
    for name in ('a"b\\c', "\u00e9".encode().decode("latin-1")):
        assert nginx.send("GET", "/", own | {"X-End-User": name}).status == 200
    assert nginx.send("GET", "/", own | {"X-End-User": "\xff\xfe"}).status == 403, "it is not UTF-8"
    assert nginx.send("GET", "/", {"Authorization": '"}{"\\'}).status == 401
    lines = nginx.log.read_bytes().splitlines()
    assert all(json.loads(line.decode("utf-8", "replace")) for line in lines)
    said = tollgate.ingest(nginx.log)
    assert said.startswith("5 lines: 2 captured")
    assert ", 0 in quarantine, 0 unread" in said
    users = {user for (user,) in tollgate.rows(USERS, row_id("key", payer.key_id))}
    assert users == {'a"b\\c', "\u00e9"}
