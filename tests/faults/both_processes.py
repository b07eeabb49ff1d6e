"""A caller with a connection to each web process, so that a call can be sent to both and to each."""

from __future__ import annotations

import http.client
import json
from copy import copy
from typing import Any
from uuid import uuid4

import psutil

from benchmarks.installation import HOST, Installation

PROCESSES = 2
ATTEMPTS_MAX = 200


class Both:
    """One connection to each process: which of them answers a connection is asked of the system."""

    def __init__(self, installation: Installation, secret: str) -> None:
        self.port, self.secret = installation.port, secret
        self._connections: dict[int, http.client.HTTPConnection] = {}
        spare = []
        for _ in range(ATTEMPTS_MAX):
            connection = http.client.HTTPConnection(HOST, self.port, timeout=60)
            self._exchange(connection, "GET", "/healthz", {}, None)
            owner = self._owner(connection, installation.web_group)
            if owner in self._connections:
                spare.append(connection)
            else:
                self._connections[owner] = connection
            if len(self._connections) == PROCESSES:
                break
        for connection in spare:
            connection.close()
        assert len(self._connections) == PROCESSES, "one process answered them all"

    def as_key(self, secret: str) -> Both:
        """The same connections, under another integration key."""
        other = copy(self)
        other.secret = secret
        return other

    def close(self) -> None:
        """Hang up."""
        for connection in self._connections.values():
            connection.close()

    def once(self, method: str, path: str, body: Any) -> Any:
        """Status and body of a request that either of them may answer; it must work."""
        connection = next(iter(self._connections.values()))
        status, _, answer = self._exchange(connection, method, path, self._bearer(), body)
        assert status in (200, 201), (status, answer)
        return answer

    def post(self, path: str, body: dict[str, Any]) -> set[str]:
        """What each answers to a new request like this: its status, and the reason of a refusal."""
        answers = set()
        for connection in self._connections.values():
            keyed = body | {"idempotency_key": str(uuid4())}
            status, _, answer = self._exchange(connection, "POST", path, self._bearer(), keyed)
            answers.add(_said(status, answer))
        return answers

    def check(self, **headers: str) -> set[str]:
        """What each answers to a check of a new call: status, `X-Tollgate-Status`, reason."""
        answers = set()
        for connection in self._connections.values():
            sent = headers | {"X-Request-Id": str(uuid4())}
            status, found, _ = self._exchange(connection, "GET", "/v1/gateway/authorize", sent, None)
            words = (str(status), found["x-tollgate-status"], found.get("x-tollgate-reason", ""))
            answers.add(" ".join(word for word in words if word))
        return answers

    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    @staticmethod
    def _exchange(
        connection: http.client.HTTPConnection, method: str, path: str, headers: dict[str, str], body: Any
    ) -> tuple[int, dict[str, str], Any]:
        typed = headers | ({} if body is None else {"Content-Type": "application/json"})
        connection.request(method, path, None if body is None else json.dumps(body), typed)
        response = connection.getresponse()
        text = response.read()
        found = {name.lower(): value for name, value in response.getheaders()}
        return response.status, found, json.loads(text) if text.startswith(b"{") else text

    @staticmethod
    def _owner(connection: http.client.HTTPConnection, group: int) -> int:
        """The process at the other end of a connection."""
        ours = connection.sock.getsockname()
        server = psutil.Process(group)
        for process in (server, *server.children(recursive=True)):
            if any(other.raddr == ours for other in process.net_connections("tcp4")):
                return int(process.pid)
        raise AssertionError("nobody is at the other end")


def _said(status: int, answer: Any) -> str:
    if status == 402:
        return f"402 {answer['denial']['reason']}"
    return str(status) if status < 300 else f"{status} {answer['error']['code']}"
