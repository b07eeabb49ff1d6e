"""Real servers, seen from outside: what they count together, what they log, and what they never log.

In one file, because all share one installation, which takes long to make.
"""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from accounts.secrets import API, INTEGRATION, new_secret
from benchmarks.calls import Callers
from benchmarks.installation import HOST
from tests.core.jobs.workshop import Workshop

CHARGES: Final = 40
OTHERS: Final = tuple(new_secret(kind).text for kind in (INTEGRATION, API, INTEGRATION, API))
"""Keys that look like ours; nobody knows them, and nobody may read them in a log."""
TOKEN: Final = "eyJhbGciOiJIUzI1NiJ9.c2VjcmV0LXBheWxvYWQ.x0kq7"
PASSWORD: Final = "hunter2-of-the-database"
PATHS: Final = (
    *("/v1/charges", "/v1/events", "/v1/authorizations", "/v1/customers"),
    *("/v1/gateway/authorize", "/metrics"),
)
BREAK: Final = "ALTER TABLE billing_denial RENAME TO billing_denial_gone"
MEND: Final = "ALTER TABLE billing_denial_gone RENAME TO billing_denial"


class Observed(Workshop):
    """An installation that logs every call."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "LOG_LEVEL": "INFO", "LOG_CALLS": "all"}

    @property
    def logs(self) -> dict[str, str]:
        """What every process has said."""
        return {path.name: path.read_text(errors="replace") for path in Path(self.var_dir).glob("*.log")}


@pytest.fixture(scope="module")
def _opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Observed, Callers]]:
    observed = Observed(tmp_path_factory.mktemp("observed") / "var")
    with observed:
        callers = Callers(**json.loads(observed.run_module("benchmarks.world", "4")))
        observed.rows("UPDATE accounts_integrationkey SET scopes = '{admin}'")
        observed.start_web()
        yield observed, callers


@pytest.fixture
def observed(_opened: tuple[Observed, Callers]) -> Observed:
    return _opened[0]


@pytest.fixture
def callers(_opened: tuple[Observed, Callers]) -> Callers:
    return _opened[1]


def send(
    observed: Observed, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """A request on a connection of its own, so that both processes get some."""
    connection = http.client.HTTPConnection(HOST, observed.port, timeout=30)
    raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, raw, {"Content-Type": "application/json", **named})
    response = connection.getresponse()
    answer = response.status, response.read().decode(errors="replace"), dict(response.getheaders())
    connection.close()
    return answer


def event(callers: Callers, key: str, **fields: Any) -> dict[str, Any]:
    body = {"idempotency_key": key, "event": "completion", "workspace": callers.workspaces[0]}
    return body | {"properties": {"tokens": 10}} | fields


def lines(observed: Observed, name: str = "web.log") -> list[dict[str, Any]]:
    """The lines of a log that are objects; every line of ours has to be one."""
    return [json.loads(line) for line in observed.logs[name].splitlines() if line.startswith("{")]


def test_all_processes_are_scraped_at_once_wherever_one_asks(observed: Observed, callers: Callers) -> None:
    bearer = f"Bearer {callers.secret}"
    for number in range(CHARGES):
        status, _, _ = send(
            observed, "POST", "/v1/charges", event(callers, f"c{number}"), Authorization=bearer
        )
        assert status == 201
    time.sleep(2.5)  # each process hands its notes over every second
    found = set()
    for _ in range(6):
        status, text, _ = send(observed, "GET", "/metrics", Authorization=bearer)
        assert status == 200
        figures = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        found.add(figures["tollgate_calls_total", "charge", "charged"])
        assert figures["tollgate_call_duration_seconds_count", "charge"] == CHARGES
        assert figures["tollgate_charge_queue_length",] == 0
    assert found == {CHARGES}
    assert send(observed, "GET", "/metrics")[0] == 401


def test_a_charges_line_has_the_request_what_was_charged_for_whom_and_how_long(
    observed: Observed, callers: Callers
) -> None:
    headers = {"Authorization": f"Bearer {callers.secret}", "X_Request_Id": "the-request-7"}
    status, body, _ = send(observed, "POST", "/v1/charges", event(callers, "logged"), **headers)
    assert status == 201
    charge = json.loads(body)

    def logged() -> list[dict[str, Any]]:
        return [line for line in lines(observed) if line.get("request_id") == "the-request-7"]

    line = observed.wait_for(logged)[0]
    assert (line["event"], line["kind"], line["outcome"]) == ("call_answered", "charge", "charged")
    assert (line["charge"], line["payer"]) == (charge["id"], charge["billing_entity"])
    assert line["customer"].startswith("cus_")
    assert 0 < line["seconds"] < 30


def test_no_secret_is_in_any_log_whatever_was_asked(observed: Observed, callers: Callers) -> None:
    for name in ("worker", "beat"):
        observed.start(name)
    ours = callers.secret
    _send_secrets_around_bodies(observed, ours)
    _send_secrets_in_bodies(observed, callers)
    _break_things(observed, f"Bearer {ours}")
    observed.queue().lpush("celery", f"no message, {ours}, redis://:{PASSWORD}@cache")
    observed.wait_for(lambda: observed.rows("SELECT 1 FROM core_parkedmessage"))
    observed.wait_for(lambda: "request_failed" in observed.logs["web.log"])
    time.sleep(2)
    said = observed.logs
    assert {"web.log", "worker.log", "beat.log"} <= said.keys()
    assert "message_parked" in said["worker.log"]
    for name, text in said.items():
        for secret in (ours, *OTHERS, TOKEN, PASSWORD):
            assert secret not in text, (name, [line for line in text.splitlines() if secret in line][:1])


def _send_secrets_around_bodies(observed: Observed, ours: str) -> None:
    """In headers, addresses and cookies, right ones and wrong ones."""
    one, two, three, _ = OTHERS
    wrong = (f"Bearer {one}", f"bearer {TOKEN}", f"Basic {TOKEN}", one, f"Bearer {ours}x", f"Bearer {ours}")
    for path in PATHS:
        for method in ("GET", "POST", "PUT"):
            for given in wrong:
                asked = f"{path}?api_key={three}&token={TOKEN}"
                send(observed, method, path, b"{" + two.encode(), Authorization=given)
                send(observed, method, asked, {"password": PASSWORD}, Authorization=given)
    check = {"X_Tollgate_Key": ours, "X_Api_Key": one, "X_Tollgate_Event": "completion"}
    send(observed, "GET", "/v1/gateway/authorize/x", **check)
    send(observed, "POST", "/accounts/login/", f"login=a@b.c&password={PASSWORD}".encode())
    send(observed, "GET", f"/accounts/password/reset/key/1-{TOKEN}/")


def _send_secrets_in_bodies(observed: Observed, callers: Callers) -> None:
    """In events that are well-formed, and in what is no event at all."""
    ours = callers.secret
    _, two, three, four = OTHERS
    headers = {"Authorization": f"Bearer {ours}", "X_Request_Id": ours, "Cookie": f"sessionid={TOKEN}"}
    for body in (
        event(callers, three, api_key=four, workspace=None),
        event(callers, "k", properties={"authorization": ours, "dsn": f"postgres://u:{PASSWORD}@db/x"}),
        {"events": [event(callers, "k", api_key=two), {"secret": ours}]},
        b"\xff\xfe" + ours.encode(),
        ours,
    ):
        for path in ("/v1/charges", "/v1/events"):
            send(observed, "POST", path, body, **headers)


def _break_things(observed: Observed, bearer: str) -> None:
    """Errors that nobody expected, with secrets near by: a table that is gone."""
    with psycopg.connect(observed.postgres.dsn, autocommit=True) as connection:
        connection.execute(BREAK.encode())
        try:
            status, body, _ = send(observed, "GET", "/v1/denials", Authorization=bearer)
            assert (status, json.loads(body)["error"]["type"]) == (500, "internal")
        finally:
            connection.execute(MEND.encode())
