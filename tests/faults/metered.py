"""An API of somebody's own behind the client's middleware, under load."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import Any, Literal

import httpx

from benchmarks.calls import Callers
from benchmarks.installation import HOST, Installation
from tests.faults.clients import PATIENCE_SECONDS
from tollgate_client import Client, Retries, TollgateError
from tollgate_client.middleware import TollgateWSGI

THREADS = 6


@dataclass
class MeteredApi:
    """Its callers call until it is left; then what waits is reported. `statuses`: what they were answered.

    A context manager. Its events carry `name` as their user.
    """

    installation: Installation
    callers: Callers
    name: str
    fail: Literal["open", "closed"]
    statuses: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        address = f"http://{HOST}:{self.installation.port}"
        self.client = Client(address, self.callers.secret, 2.0, Retries(1, first=0.02), backlog_seconds=0.1)
        self._stop = Event()
        self._lock = Lock()
        self._threads = [Thread(target=self._call, args=(number,)) for number in range(THREADS)]

    def __enter__(self) -> MeteredApi:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        deadline = PATIENCE_SECONDS
        while self.client.backlog.state.waiting and deadline:
            try:
                self.client.flush()
            except TollgateError:
                deadline -= 1
        self.client.close()

    def wait_for(self, status: int, times: int) -> None:
        """Return when so many more calls were answered with this status."""
        goal, turns = self.statuses[status] + times, PATIENCE_SECONDS * 100
        while self.statuses[status] < goal:
            turns -= 1
            assert turns, f"no progress: {self.statuses}"
            self._stop.wait(0.01)

    def _call(self, number: int) -> None:
        workspace = self.callers.workspaces[number]
        app = TollgateWSGI(
            seven_words,
            self.client,
            event="completion",
            payer=lambda request: {"workspace": workspace, "user": self.name},
            expected=lambda request: {"tokens": 50},
            quantity=lambda response: {"tokens": response.chunks},
            fail=self.fail,
        )
        with httpx.Client(transport=httpx.WSGITransport(app), base_url="http://api.test") as http:
            while not self._stop.is_set():
                status = http.get("/").status_code
                with self._lock:
                    self.statuses[status] += 1


def seven_words(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"word "] * 7
