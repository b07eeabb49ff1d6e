"""A server that does what the test says, for clients of both kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tollgate_client import AsyncClient, Client, Retries

Step = httpx.Response | Exception
SLEEPLESS = Retries(3, first=0.0, longest=0.0)

CHARGE = {
    "id": "ch_1",
    "status": "charged",
    "billing_entity": "be_1",
    "amount": "0.0300",
    "currency": "USD",
    "cost": None,
    "lines": [
        {
            "component": "tok",
            "meter": "tokens",
            "quantity": "3",
            "amount": "0.0300",
            "plan_version": "pv_1",
            "position": {"from": "0", "to": "3"},
        }
    ],
    "balance": {"available": "9.97", "settled": "9.97", "held": "0"},
}
DENIAL = {
    "error": {
        "type": "payment_required",
        "code": "insufficient_funds",
        "message": "The balance does not cover this charge.",
        "param": None,
        "doc_url": "/v1/docs/errors#payment_required",
        "request_id": "r1",
    },
    "denial": {
        "reason": "insufficient_funds",
        "level": "billing_entity",
        "id": "be_1",
        "limit": "0",
        "used": "1.5",
        "resets_at": "2026-12-01T00:00:00Z",
        "retryable": True,
        "top_up_url": None,
    },
    "balance": {"available": "0.01", "settled": "0.01", "held": "0"},
}


def answer(status: int, body: Any = None, **headers: str) -> httpx.Response:
    return httpx.Response(
        status, json=body, headers={name.replace("_", "-"): headers[name] for name in headers}
    )


def error(status: int, code: str = "some_code", **headers: str) -> httpx.Response:
    body = {
        "error": {"type": "some_type", "code": code, "message": "No.", "param": "a.b", "request_id": "r9"}
    }
    return answer(status, body, **headers)


def lost() -> httpx.ReadError:
    return httpx.ReadError("connection reset by peer")


HOLD = {
    "id": "auth_1",
    "status": "authorized",
    "billing_entity": "be_1",
    "amount": "4.00",
    "currency": "USD",
    "expires_at": "2026-03-01T12:10:00Z",
    "balance": {"available": "6", "settled": "10", "held": "4.00"},
}


def well(request: httpx.Request) -> httpx.Response:
    """What a Tollgate answers with which all is well."""
    path = request.url.path
    if path in ("/v1/authorizations", "/v1/leases"):
        return answer(201, HOLD)
    if path.endswith("/void"):
        return answer(200, HOLD | {"status": "voided"})
    if path.endswith("/extend"):
        return answer(200, HOLD | {"expires_at": "2026-03-01T12:40:00Z"})
    if path.endswith("/return"):
        return answer(200, HOLD | {"status": "returned"})
    if path.endswith("/capture"):
        return answer(201, CHARGE | {"authorization": "auth_1", "absorbed": "0"})
    if path == "/v1/events" or path.endswith("/report"):
        return taken(request)
    return answer(200, CHARGE)


def taken(request: httpx.Request) -> httpx.Response:
    """A report that takes all but events of the name `bad`."""
    events = json.loads(request.content)["events"]
    bad = [index for index, event in enumerate(events) if event["event"] == "bad"]
    errors = [{"index": index, "error": {"code": "c", "message": "m", "param": "event"}} for index in bad]
    counts = {"accepted": len(events) - len(bad), "rejected": len(bad), "duplicates": 0, "quarantined": 0}
    return answer(200, counts | {"unmatched": 0, "unpriced": 0, "errors": errors})


@dataclass
class Script:
    """Answers in turn, and at the end what `otherwise` says; keeps what it was sent."""

    steps: list[Step] = field(default_factory=list)
    otherwise: Callable[[httpx.Request], httpx.Response] = well
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        step = self.steps.pop(0) if self.steps else self.otherwise(request)
        if isinstance(step, Exception):
            raise step
        return httpx.Response(step.status_code, headers=step.headers, content=step.content)

    @property
    def bodies(self) -> list[Any]:
        return [json.loads(request.content) for request in self.requests if request.content]

    @property
    def verbs(self) -> list[str]:
        """What was asked for, by the last part of each path."""
        return [request.url.path.rsplit("/", 1)[-1] for request in self.requests]

    def client(self, **options: Any) -> Client:
        given = {"retries": SLEEPLESS, **options}
        return Client("http://tollgate.test", "tg_secret", transport=httpx.MockTransport(self), **given)

    def async_client(self, **options: Any) -> AsyncClient:
        given = {"retries": SLEEPLESS, **options}
        return AsyncClient("http://tollgate.test", "tg_secret", transport=httpx.MockTransport(self), **given)


def script(*steps: Step) -> Script:
    return Script(list(steps))
