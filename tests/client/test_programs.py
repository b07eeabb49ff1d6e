"""Whole programs that use the client: slow servers, and ends without a close."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.architecture.sources import ROOT
from tests.client.scripted import SLEEPLESS, well
from tollgate_client import Client, Unreachable

PREFACE = """
from decimal import Decimal
from tollgate_client import Client, Event
client = Client({address!r}, "tg_secret", backlog_seconds=60)
"""


class Remembering(ThreadingHTTPServer):
    """A server on a socket that answers well and keeps what it was sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []
        super().__init__(("127.0.0.1", 0), Answering)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answering(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Remembering)
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.seen.append((self.path, json.loads(raw)))
        response = well(httpx.Request("POST", f"http://t.test{self.path}", content=raw))
        self.send_response(response.status_code)
        self.send_header("Content-Length", str(len(response.content)))
        self.end_headers()
        self.wfile.write(response.content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Remembering]:
    with Remembering() as made:
        thread = Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def run(server: Remembering, text: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    program = PREFACE.format(address=server.address) + text
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "clients/python")}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)


def test_a_program_that_ends_without_closing_reports_what_waits(server: Remembering) -> None:
    done = run(server, 'client.report_later(Event("e", workspace="w1", idempotency_key="k"))')
    assert (done.returncode, done.stderr) == (0, "")
    ((path, body),) = server.seen
    assert (path, body["events"][0]["idempotency_key"]) == ("/v1/events", "k")


def test_a_program_that_dies_of_an_exception_reports_and_returns_its_lease(server: Remembering) -> None:
    done = run(
        server,
        'lease = client.lease(Decimal(4), workspace="w1", price=Decimal("0.01"), report_seconds=60)\n'
        'lease.spend("e", idempotency_key="k")\n'
        'client.report_later(Event("e", workspace="w1", idempotency_key="late"))\n'
        'raise SystemExit("enough")',
    )
    assert (done.returncode, done.stderr) == (1, "enough\n")
    assert [path for path, _ in server.seen] == [
        "/v1/leases",
        "/v1/leases/auth_1/report",
        "/v1/leases/auth_1/return",
        "/v1/events",
    ]


def test_a_program_that_only_asks_registers_nothing(server: Remembering) -> None:
    done = run(server, 'print(client.charge("e", workspace="w1").amount)')
    assert (done.returncode, done.stdout) == (0, "0.0300\n")
    assert [path for path, _ in server.seen] == ["/v1/charges"]


def test_a_server_that_never_answers_costs_its_timeout_and_no_more() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with Client(address, "tg_secret", timeout=0.15, retries=1) as client:
            before = time.monotonic()
            with pytest.raises(Unreachable):
                client.charge("completion", workspace="w1")
            assert 0.3 <= time.monotonic() - before < 30


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = probe.getsockname()[1]
    with (
        Client(f"http://127.0.0.1:{port}", "tg_secret", retries=SLEEPLESS) as client,
        pytest.raises(Unreachable),
    ):
        client.charge("completion", workspace="w1")
