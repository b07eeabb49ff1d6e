"""What can go wrong, as exceptions: a refusal has a reason, a failure of Tollgate has none.

`Unavailable` means that there is no verdict: the same request may be sent again under the same key. Every
other `ApiError` is a verdict, and sending the same again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from tollgate_client.results import Balance, amount_in, balance_in, instant_in


class TollgateError(Exception):
    """Base of everything that this client raises."""


class Unavailable(TollgateError):
    """No verdict: Tollgate was not reached, failed, or asks to wait. Whether it acted is not known."""

    retry_after: float | None = None
    """Seconds that the server asked to wait, if it did."""


class Unreachable(Unavailable):
    """No answer: connection refused or lost, a timeout, or an answer that was cut off."""


class ApiError(TollgateError):
    """An answer that is an error; the fields are those of the API's error object."""

    def __init__(self, status: int, error: Mapping[str, Any]) -> None:
        self.status = status
        self.type = str(error.get("type") or "unknown")
        self.code = str(error.get("code") or "unknown")
        self.message = str(error.get("message") or f"The server answered {status}.")
        self.param: str | None = error.get("param")
        self.doc_url: str | None = error.get("doc_url")
        self.request_id: str | None = error.get("request_id")
        super().__init__(f"{self.message} ({status} {self.code}{self._details()})")

    def _details(self) -> str:
        details = {"param": self.param, "request": self.request_id}
        return "".join(f", {name} {value}" for name, value in details.items() if value)


class InvalidRequest(ApiError):
    """The request is malformed (400) or does not fit what is stored (422); `param` names the field."""


class Unauthenticated(ApiError):
    """No valid key (401)."""


class PermissionDenied(ApiError):
    """The key is valid but lacks the right (403)."""


class Denied(ApiError):
    """Refused for money or a limit (402). It used no key up: the same request may succeed later.

    `reason` is one of suspended, no_subscription, entitlement, spend_limit, insufficient_funds, margin_floor;
    `level` and `level_id` name what refused; `limit`, `used` and `resets_at` are null where they do not
    apply; `balance` is the payer's.
    """

    def __init__(self, status: int, error: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        super().__init__(status, error)
        denial: Mapping[str, Any] = answer.get("denial") or {}
        self.reason = str(denial.get("reason") or self.code)
        self.level: str | None = denial.get("level")
        self.level_id: str | None = denial.get("id")
        self.limit: Decimal | None = amount_in(denial, "limit")
        self.used: Decimal | None = amount_in(denial, "used")
        self.resets_at: datetime | None = instant_in(denial, "resets_at")
        self.retryable = bool(denial.get("retryable"))
        self.top_up_url: str | None = denial.get("top_up_url")
        self.balance: Balance | None = balance_in(answer)


class NotFound(ApiError):
    """No such object, or none that the key may see (404)."""


class Conflict(ApiError):
    """It contradicts what has happened already (409), such as a key that stands for another payload."""


class AuthorizationExpired(Conflict):
    """The hold is over and the funds do not cover a fresh charge; the usage may still be reported."""


class TooLarge(ApiError):
    """The body or the batch exceeds a limit (413)."""


class RateLimited(ApiError, Unavailable):
    """Too many requests (429)."""


class ServerError(ApiError, Unavailable):
    """Tollgate failed (5xx)."""


_OF_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    401: Unauthenticated,
    403: PermissionDenied,
    404: NotFound,
    409: Conflict,
    413: TooLarge,
    422: InvalidRequest,
    429: RateLimited,
}
_OF_CODE: Mapping[str, type[ApiError]] = {"authorization_expired": AuthorizationExpired}


def error_of(status: int, answer: Any, retry_after: float | None = None) -> ApiError:
    """The exception for an answer with an error's status; its body need not be Tollgate's."""
    body: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
    given = body.get("error")
    error: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
    if status == 402:
        return Denied(status, error, body)
    kind = _OF_CODE.get(str(error.get("code"))) or _OF_STATUS.get(status)
    kind = kind or (ServerError if status >= 500 else ApiError)
    made = kind(status, error)
    if isinstance(made, Unavailable):
        made.retry_after = retry_after
    return made
