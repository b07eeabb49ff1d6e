"""The demo's gateway: real HTTP to this installation's own API, as an operator's gateway would call it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from core.jsonio import parse_json

_SECONDS_MAX: Final = 20
_OPENER: Final = build_opener(ProxyHandler({}))  # never through a proxy: it is this machine


class Unreachable(Exception):
    """The API does not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, JSON body, and how long it took in milliseconds."""

    status: int
    body: dict[str, Any]
    milliseconds: int

    @property
    def is_denied(self) -> bool:
        """Whether the call was refused for money."""
        return self.status == HTTPStatus.PAYMENT_REQUIRED


@dataclass(frozen=True, slots=True)
class Gateway:
    """Calls the API at `url` with the integration key `secret`."""

    url: str
    secret: str

    def charge(self, event: dict[str, Any]) -> Answer:
        """Ask for a charge."""
        return self.send("POST", "/v1/charges", event)

    def report(self, events: list[dict[str, Any]]) -> Answer:
        """Report what has happened."""
        return self.send("POST", "/v1/events", {"events": events})

    def balance(self, workspace: str) -> dict[str, Any]:
        """The balance of whoever pays for a workspace now. Raises Unreachable when the API refuses."""
        answer = self.send("GET", f"/v1/balance?workspace={workspace}")
        if answer.status != HTTPStatus.OK:
            raise Unreachable(f"/v1/balance answered {answer.status}: is the demo's key still valid?")
        return answer.body

    def send(
        self, method: str, path: str, body: dict[str, Any] | None = None, *, key: str | None = None
    ) -> Answer:
        """One request; `key` is its Idempotency-Key. Raises Unreachable when nobody answers."""
        headers = {"Authorization": f"Bearer {self.secret}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None if body is None else json.dumps(body).encode()
        request = Request(self.url + path, content, headers, method=method)  # noqa: S310 - our own address
        began = time.perf_counter_ns()
        try:
            with _OPENER.open(request, timeout=_SECONDS_MAX) as response:
                status, raw = response.status, response.read()
        except HTTPError as error:
            status, raw = error.code, error.read()
        except (URLError, OSError) as error:
            raise Unreachable(str(error)) from error
        return Answer(status, _read(raw), (time.perf_counter_ns() - began) // 1_000_000)


def _read(raw: bytes) -> dict[str, Any]:
    try:
        found = parse_json(raw)
    except Exception as error:  # a page of another server, or half an answer
        raise Unreachable("The answer is not JSON.") from error
    return found if isinstance(found, dict) else {"answer": found}
