"""The errors that cross the project's doors (HTTP, command line, pages).

Every error that a caller can cause is a `TollgateError`; its fields are those of the API's error
object. `param` is the path of the offending value in the caller's own input, for example
`components[0].tiers[1].up_to`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Final


class TollgateError(Exception):
    """Base of all errors with an answer for the caller. Subclasses fix `type` and `status`."""

    type: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param

    def within(self, prefix: str) -> TollgateError:
        """Put `prefix` before the path in `param`: a leaf knows its field, its caller where that stands."""
        if self.param is None or self.param == "":
            self.param = prefix
        elif self.param.startswith("["):
            self.param = f"{prefix}{self.param}"
        else:
            self.param = f"{prefix}.{self.param}"
        return self

    def as_dict(self) -> dict[str, Any]:
        """The `error` object of the API, without what only a request knows (doc_url, request_id)."""
        return {"type": self.type, "code": self.code, "message": self.message, "param": self.param}


class InvalidRequest(TollgateError):
    """The input is malformed or contradicts itself (400)."""

    type = "invalid_request"
    status = 400


class Unprocessable(InvalidRequest):
    """The input is well-formed but does not fit what is stored (422)."""

    status = 422


class AuthenticationFailed(TollgateError):
    """No valid credential (401)."""

    type = "authentication"
    status = 401


class PermissionDenied(TollgateError):
    """A valid credential without the right (403)."""

    type = "permission"
    status = 403


class MissingScope(PermissionDenied):
    """A key that was not given the right."""


KEYS_FAULT: Final = (AuthenticationFailed, MissingScope)
"""What is wrong with the operator's own key, whatever is asked with it."""


class PaymentRequired(TollgateError):
    """A refusal about money (402)."""

    type = "payment_required"
    status = 402


class NotFound(TollgateError):
    """No such object, or none that the caller may see (404)."""

    type = "not_found"
    status = 404


class Conflict(TollgateError):
    """The request contradicts something that has happened already (409)."""

    type = "conflict"
    status = 409


class TooLarge(TollgateError):
    """The body or the batch exceeds a limit (413)."""

    type = "too_large"
    status = 413


class RateLimited(TollgateError):
    """Too many requests (429)."""

    type = "rate_limited"
    status = 429
