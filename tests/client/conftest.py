"""Clients for these tests: against a scripted server, against Tollgate in this process, and over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api_client import Api
from tests.lane_client import LaneClient
from tollgate_client import Client, Retries

QUICK = Retries(3, first=0.001, longest=0.002)


@pytest.fixture
def way(db: None) -> httpx.MockTransport:
    """The way to the Tollgate of this test, in this thread and its transaction."""
    tollgate = LaneClient(raise_request_exception=False)

    def answer(request: httpx.Request) -> httpx.Response:
        path, body = request.url.raw_path.decode(), request.read()
        headers = {name: value for name, value in request.headers.items() if name != "content-length"}
        kind = headers.get("content-type", "")
        response = tollgate.generic(request.method, path, body, kind, headers=headers)
        return httpx.Response(response.status_code, headers=dict(response.headers), content=response.content)

    return httpx.MockTransport(answer)


@pytest.fixture
def in_process(way: httpx.MockTransport) -> Iterator[Client]:
    """A client of the Tollgate of this test. Its background sleeps: the transaction is this thread's."""
    secret = Api("admin").secret
    with Client("http://testserver", secret, retries=QUICK, transport=way, backlog_seconds=3600) as client:
        yield client


@pytest.fixture
def over_http(live_server: Any) -> Iterator[Client]:
    """A client of a Tollgate that answers on a real socket, in threads."""
    with Client(str(live_server), Api("admin").secret, retries=QUICK, backlog_seconds=0.05) as client:
        yield client
