"""What both middlewares decide alike: who pays, what counts, what a caller is told."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tollgate_client.errors import ApiError, Denied, PermissionDenied, TollgateError
from tollgate_client.events import CallerFields, Event
from tollgate_client.middleware.exchange import Request, Response
from tollgate_client.operations import Seconds
from tollgate_client.results import Balance

log = logging.getLogger("tollgate_client")

CALLER: Final = frozenset({"workspace", "api_key", "billing_entity"})
KEY_REVOKED: Final = "key_revoked"
Fail = Literal["open", "closed"]
Properties = Mapping[str, Any]


def nothing(request: Request) -> Properties:
    """Expect no more than the call itself."""
    return {}


def each_success(response: Response) -> Properties | None:
    """A call that succeeded counts as one; an error is free."""
    return {} if response.status < 400 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How an API is metered.

    `payer`: who pays for a request; None = it is not metered, and passes. `expected`: the properties to hold
    for, before the call. `quantity`: the properties to charge for, after it; None = it is free. It is not
    asked about a failure (5xx, or no response), which is free. `fail`: what happens while Tollgate gives no
    verdict: "closed" answers 503; "open" lets calls pass as long as the client's backlog has room to report
    them later, so that what may go unpaid is bounded. `expires_in`: seconds after which a hold is over.
    `keep`: how many bytes of a body `quantity` gets to see.
    """

    event: str
    payer: Callable[[Request], CallerFields | None]
    quantity: Callable[[Response], Properties | None] = each_success
    expected: Callable[[Request], Properties] = nothing
    fail: Fail = "closed"
    expires_in: Seconds | None = None
    keep: int = 65_536

    def event_of(self, request: Request) -> Event | None:
        """The event that a request is expected to be, under a new key.

        It is not dated: a refusal of a dated call says of that instant whether it may be asked again, and
        whoever calls again is a new call.
        """
        payer = self.payer(request)
        if payer is None:
            return None
        return Event(self.event, properties=self.expected(request), **payer)

    def used(self, response: Response) -> Properties | None:
        """The properties to charge for; None = nothing."""
        response.end()
        if not 100 <= response.status < 500:
            return None
        return self.quantity(response)

    def may_pass(self, error: TollgateError) -> bool:
        """Whether a request without a hold goes on: never after a verdict about its caller."""
        if isinstance(error, Denied) or is_unknown_caller(error) or is_barred(error):
            return False
        log.error("Tollgate gives no verdict; calls %s: %s", _PASSES[self.fail], error)
        return self.fail == "open"


_PASSES: Final = {"open": "pass", "closed": "are refused"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller is told instead of an answer."""

    status: int
    phrase: str
    body: bytes
    headers: tuple[tuple[str, str], ...]


def refusal(error: TollgateError) -> Refusal:
    """402 with the denial for a caller who may not; 401 for one who is not known, or whose key is no longer
    valid; 403 for one whose payer is closed; else 503."""
    if isinstance(error, Denied):
        about = {"denial": _denial(error), "balance": _balance(error.balance)}
        return _refusal(402, "Payment Required", error.code, error.message, **about)
    if is_unknown_caller(error):
        return _refusal(401, "Unauthorized", "unknown_caller", "This key is not known here.")
    if isinstance(error, ApiError) and is_barred(error):
        if error.code == KEY_REVOKED:
            return _refusal(401, "Unauthorized", error.code, "This key is no longer valid.")
        return _refusal(403, "Forbidden", error.code, error.message)
    message = "Calls cannot be accounted for now; try again."
    return _refusal(503, "Service Unavailable", "unavailable", message, ("Retry-After", "1"))


def is_unknown_caller(error: TollgateError) -> bool:
    """Whether the error is about who calls."""
    return isinstance(error, ApiError) and error.status in (400, 404, 422) and error.param in CALLER


def is_barred(error: TollgateError) -> bool:
    """Whether a caller who is known may not call at all: its key was revoked, or its payer is closed.

    What the client's own key may not do names no caller.
    """
    return isinstance(error, PermissionDenied) and error.param in CALLER


_TYPES: Final = {
    401: "authentication",
    402: "payment_required",
    403: "permission",
    503: "internal",
}


def _refusal(
    status: int, phrase: str, code: str, message: str, *headers: tuple[str, str], **extra: Any
) -> Refusal:
    error = {"type": _TYPES[status], "code": code, "message": message}
    body = json.dumps({"error": error, **extra}).encode()
    about = (("Content-Type", "application/json"), ("Content-Length", str(len(body))))
    return Refusal(status, phrase, body, (*about, *headers))


def _denial(denied: Denied) -> dict[str, Any]:
    return {
        "reason": denied.reason,
        "level": denied.level,
        "id": denied.level_id,
        "limit": None if denied.limit is None else f"{denied.limit:f}",
        "used": None if denied.used is None else f"{denied.used:f}",
        "resets_at": denied.resets_at and denied.resets_at.isoformat(),
        "retryable": denied.retryable,
        "top_up_url": denied.top_up_url,
    }


def _balance(balance: Balance | None) -> dict[str, str] | None:
    if balance is None:
        return None
    return {name: f"{getattr(balance, name):f}" for name in ("available", "settled", "held")}
