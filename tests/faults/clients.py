"""Callers that do not give up: what is not answered is sent again, under the same key."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Event, Thread
from typing import Any

from benchmarks.calls import Callers
from benchmarks.installation import HOST, Installation

PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 60
BATCH = 5


@dataclass
class Client:
    """One caller: charges and reports in turn, from its start until it is told to stop.

    `charged`: key -> the amount acknowledged. `reported`: the keys of acknowledged batches. `failures`: how
    often it got no answer, or a 5xx.
    """

    name: str
    installation: Installation
    callers: Callers
    charged: dict[str, Decimal] = field(default_factory=dict)
    reported: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    problem: BaseException | None = None
    _connection: http.client.HTTPConnection | None = None

    def run(self, stop: Event) -> None:
        """Work until `stop`; what then is under way is brought to its end."""
        try:
            number = 0
            while not stop.is_set():
                self._charge(f"{self.name}-charge-{number}", number)
                self._report([f"{self.name}-event-{number}-{part}" for part in range(BATCH)], number)
                number += 1
        except BaseException as problem:
            self.problem = problem

    def _charge(self, key: str, number: int) -> None:
        status, body = self.post("/v1/charges", self.event(key, number))
        assert status in (200, 201), (status, body)
        self.charged[key] = Decimal(body["amount"])

    def _report(self, keys: list[str], number: int) -> None:
        status, body = self.post("/v1/events", {"events": [self.event(key, number) for key in keys]})
        assert status == 200, (status, body)
        assert body["accepted"] + body["duplicates"] == len(keys), body
        self.reported += keys

    def event(self, key: str, number: int) -> dict[str, Any]:
        """An event of the workspace with this number."""
        workspace = self.callers.workspaces[number % len(self.callers.workspaces)]
        properties = {"tokens": 100 + number % 7}
        return {
            "idempotency_key": key,
            "event": "completion",
            "workspace": workspace,
            "properties": properties,
        }

    def post(self, path: str, body: Any) -> tuple[int, Any]:
        """The answer, after as many attempts as it takes."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                status, answer = self._attempt(path, json.dumps(body))
                if status < 500:
                    return status, json.loads(answer)
                failure = f"{status} {answer[:300]!r}"
            except (OSError, http.client.HTTPException) as error:
                failure = repr(error)
            self.failures.append(failure)
            self._connection = None
            assert time.monotonic() < deadline, f"no answer for {PATIENCE_SECONDS} seconds: {failure}"
            time.sleep(PAUSE_SECONDS)

    def _attempt(self, path: str, body: str) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(HOST, self.installation.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.callers.secret}", "Content-Type": "application/json"}
        self._connection.request("POST", path, body, headers)
        response = self._connection.getresponse()
        return response.status, response.read()


@dataclass
class HoldClient(Client):
    """One that authorizes, then captures (`charged`: hold -> the amount acknowledged) or voids (`voided`)."""

    voided: list[str] = field(default_factory=list)

    def run(self, stop: Event) -> None:
        """Work until `stop`; what then is under way is brought to its end."""
        try:
            number = 0
            while not stop.is_set():
                self._call(f"{self.name}-hold-{number}", number)
                number += 1
        except BaseException as problem:
            self.problem = problem

    def _call(self, key: str, number: int) -> None:
        status, body = self.post("/v1/authorizations", self.event(key, number))
        assert status in (200, 201), (status, body)
        hold = body["id"]
        if number % 4 == 3:
            status, body = self.post(f"/v1/authorizations/{hold}/void", {})
            assert (status, body["status"]) == (200, "voided"), body
            self.voided.append(hold)
            return
        usage = {"properties": {"tokens": 50 + number % 60}, "over": "cap"}
        status, body = self.post(f"/v1/authorizations/{hold}/capture", usage)
        assert status in (200, 201), (status, body)
        self.charged[hold] = Decimal(body["amount"])


class Crowd:
    """Clients at work in the background, as a context manager; leaving it ends and checks them."""

    def __init__(
        self,
        installation: Installation,
        callers: Callers,
        name: str,
        size: int = 8,
        kind: type[Client] = Client,
    ) -> None:
        self.clients = [kind(f"{name}-{number}", installation, callers) for number in range(size)]
        self._stop = Event()
        self._threads = [Thread(target=client.run, args=(self._stop,)) for client in self.clients]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        problems = [client.problem for client in self.clients if client.problem]
        assert not problems, problems

    @property
    def charged(self) -> dict[str, Decimal]:
        """All charges that were acknowledged."""
        copies = [client.charged.copy() for client in self.clients]  # at once: the clients go on
        return {key: amount for charged in copies for key, amount in charged.items()}

    @property
    def reported(self) -> list[str]:
        """All events that were acknowledged."""
        return [key for client in self.clients for key in client.reported]

    @property
    def failures(self) -> list[str]:
        """What the clients met on the way."""
        return [failure for client in self.clients for failure in client.failures]

    def wait_for(self, charges: int) -> None:
        """Return when so many charges more have been acknowledged."""
        goal, deadline = len(self.charged) + charges, time.monotonic() + PATIENCE_SECONDS
        while len(self.charged) < goal:
            assert time.monotonic() < deadline, f"no progress; the clients met: {self.failures[-5:]}"
            assert not any(client.problem for client in self.clients), "a client has given up"
            time.sleep(0.02)
