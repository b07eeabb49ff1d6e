"""The requests of the API and what their answers mean; nothing here sends anything.

Both clients build an `Operation`, send it in their own way, and let `verdict` read the answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Generic, Literal, TypedDict, TypeVar

import httpx

from tollgate_client.errors import Unreachable, error_of
from tollgate_client.events import CallerFields, Cost, Event, costs_as_list, encode, new_key
from tollgate_client.results import (
    Authorization,
    Charge,
    Entitlement,
    LeaseReport,
    PayerBalance,
    Report,
    Usage,
    authorization_in,
    charge_in,
    entitlements_in,
    lease_report_in,
    payer_balance_in,
    report_in,
    usage_in,
)
from tollgate_client.retrying import seconds_in

T = TypeVar("T")
Seconds = int | timedelta
Over = Literal["reject", "cap", "overdraft"]

EVENTS_MAX: Final = 10_000
BYTES_MAX: Final = 16 * 1024**2
"""Of one report; the server takes twice as much."""
REPORT_SECONDS_MIN: Final = 30.0


class UsageQuestion(TypedDict, total=False):
    """Whose usage, of what, in `[start, end)`; by default this month by day. Name one whose usage it is."""

    customer: str
    billing_entity: str
    workspace: str
    user: str
    api_key: str
    trace: str
    meter: str | Sequence[str]
    start: datetime | date | str
    end: datetime | date | str
    granularity: str
    group_by: str | Sequence[str]


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What is drawn: `amount` for the `caller`, for so many seconds, under a key.

    The caller's `user` and `trace` are those of the calls that follow.
    """

    amount: Decimal
    seconds: int
    caller: CallerFields
    key: str


class CaptureFields(TypedDict, total=False):
    """What a capture may say beside the real usage.

    `over` is for usage that costs more than is held: "reject" (as without), "cap" (charge no more than is
    held), "overdraft" (go on, down to the payer's limit). The key is the authorization's unless given.
    """

    over: Over
    costs: Sequence[Cost] | None
    occurred_at: datetime | None
    user: str | None
    trace: str | None
    idempotency_key: str | None


_QUERY_NAMES: Final = {"start": "from", "end": "to"}


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer: its JSON, and whether it is the first one to this key, again."""

    body: Any
    is_replay: bool


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """One request, the same however often it is sent; `read` turns its answer into a result.

    `seconds_min` is the least timeout that it needs.
    """

    method: str
    path: str
    read: Callable[[Answer], T]
    content: bytes | None = None
    params: Mapping[str, str] | None = None
    key: str | None = None
    seconds_min: float = 0.0

    def request(self, client: httpx.Client | httpx.AsyncClient, timeout: float) -> httpx.Request:
        """What is sent."""
        headers = {} if self.content is None else {"Content-Type": "application/json"}
        if self.key is not None:
            headers["Idempotency-Key"] = self.key
        return client.build_request(
            self.method,
            self.path,
            content=self.content,
            params=self.params,
            headers=headers,
            timeout=max(timeout, self.seconds_min),
        )

    def verdict(self, response: httpx.Response) -> T:
        """The result, or the error that the answer is.

        Raises Unreachable for a good status without a readable body: that answer was lost on the way.
        """
        body = _json(response)
        if not response.is_success:
            raise error_of(response.status_code, body, seconds_in(response.headers.get("Retry-After")))
        try:
            is_replay = response.headers.get("Idempotent-Replayed") == "true"
            return self.read(Answer(body, is_replay))
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            raise Unreachable(f"The answer to {self.method} {self.path} cannot be read.") from error


def no_answer(operation: Operation[Any], error: httpx.RequestError) -> Unreachable:
    """What a failure of the network means."""
    why = str(error) or type(error).__name__
    return Unreachable(f"No answer to {operation.method} {operation.path}: {why}")


def charge(event: Event) -> Operation[Charge]:
    """`POST /v1/charges`."""
    return Operation("POST", "/v1/charges", _charge, encode(event.as_dict()))


def _charge(answer: Answer) -> Charge:
    return charge_in(answer.body, is_replay=answer.is_replay)


def authorize(event: Event, amount: Decimal | None, expires_in: Seconds | None) -> Operation[Authorization]:
    """`POST /v1/authorizations`."""
    body = event.as_dict() | _given(amount=amount, expires_in=_seconds(expires_in))
    return Operation("POST", "/v1/authorizations", _authorization, encode(body))


def capture(
    authorization_id: str, properties: Mapping[str, Any] | None, fields: CaptureFields
) -> Operation[Charge]:
    """`POST /v1/authorizations/{id}/capture`."""
    costs = fields.get("costs")
    body = _given(properties=properties, **fields)
    if costs is not None:
        body["costs"] = costs_as_list(costs)
    return Operation("POST", f"/v1/authorizations/{authorization_id}/capture", _charge, encode(body))


def void(authorization_id: str) -> Operation[Authorization]:
    """`POST /v1/authorizations/{id}/void`."""
    return Operation("POST", f"/v1/authorizations/{authorization_id}/void", _authorization, b"{}")


def extend(authorization_id: str, expires_in: Seconds) -> Operation[Authorization]:
    """`POST /v1/authorizations/{id}/extend`."""
    body = encode({"expires_in": _seconds(expires_in)})
    return Operation("POST", f"/v1/authorizations/{authorization_id}/extend", _authorization, body)


def _authorization(answer: Answer) -> Authorization:
    return authorization_in(answer.body, is_replay=answer.is_replay)


def lease_terms(amount: Decimal, expires_in: Seconds, caller: CallerFields) -> LeaseTerms:
    """Terms under a new key."""
    seconds = int(expires_in.total_seconds()) if isinstance(expires_in, timedelta) else expires_in
    return LeaseTerms(amount, seconds, caller, new_key())


def _batch(events: Sequence[bytes]) -> bytes:
    return b'{"events":[' + b",".join(events) + b"]}"


def draw_lease(terms: LeaseTerms) -> Operation[Authorization]:
    """`POST /v1/leases`."""
    who = _given(**{name: terms.caller.get(name) for name in ("workspace", "api_key", "billing_entity")})
    body = who | {"idempotency_key": terms.key, "amount": terms.amount, "expires_in": terms.seconds}
    return Operation("POST", "/v1/leases", _authorization, encode(body))


def report_lease(lease_id: str, events: Sequence[bytes]) -> Operation[LeaseReport]:
    """`POST /v1/leases/{id}/report` of events that are written already."""
    return Operation(
        "POST",
        f"/v1/leases/{lease_id}/report",
        lambda answer: lease_report_in(answer.body),
        _batch(events),
        seconds_min=REPORT_SECONDS_MIN,
    )


def return_lease(lease_id: str) -> Operation[Authorization]:
    """`POST /v1/leases/{id}/return`."""
    return Operation("POST", f"/v1/leases/{lease_id}/return", _authorization, b"{}")


def reports(events: Sequence[Event]) -> Iterator[Operation[Report]]:
    """`POST /v1/events`, in as many batches as the events need."""
    parts: list[bytes] = []
    first = size = 0
    for index, event in enumerate(events):
        part = encode(event.as_dict())
        if len(parts) == EVENTS_MAX or (parts and size + len(part) > BYTES_MAX):
            yield _report(parts, first)
            first, parts, size = index, [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield _report(parts, first)


def _report(parts: Sequence[bytes], first: int) -> Operation[Report]:
    return Operation(
        "POST",
        "/v1/events",
        lambda answer: report_in(answer.body, first),
        _batch(parts),
        seconds_min=REPORT_SECONDS_MIN,
    )


def balance(workspace: str | None, billing_entity: str | None) -> Operation[PayerBalance]:
    """`GET /v1/balance`."""
    params = _given(workspace=workspace, billing_entity=billing_entity)
    return Operation("GET", "/v1/balance", lambda answer: payer_balance_in(answer.body), params=params)


def entitlements(workspace: str | None, billing_entity: str | None) -> Operation[dict[str, Entitlement]]:
    """`GET /v1/entitlements`."""
    params = _given(workspace=workspace, billing_entity=billing_entity)
    return Operation("GET", "/v1/entitlements", lambda answer: entitlements_in(answer.body), params=params)


def usage(question: UsageQuestion) -> Operation[Usage]:
    """`GET /v1/usage`."""
    given = {_QUERY_NAMES.get(name, name): _query_value(value) for name, value in question.items()}
    return Operation("GET", "/v1/usage", lambda answer: usage_in(answer.body), params=_given(**given))


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.content, parse_float=Decimal)
    except ValueError:
        return None


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _seconds(value: Seconds | None) -> int | None:
    return int(value.total_seconds()) if isinstance(value, timedelta) else value


def _query_value(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return value.isoformat() if isinstance(value, date) else ",".join(value)
