"""The short way for charges, authorizations and captures, which stand in the path of the operator's calls.

One of them in plain JSON is answered here, before Django makes a request of it: its request, signals,
middleware and dispatch cost more than the charge itself (docs/performance.md). The pieces are the same that
the view is set up with: credential, scope, body, verb, errors, rendering. Everything else goes the usual way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from structlog.contextvars import bind_contextvars, clear_contextvars

from accounts.api.authentication import secret_in
from accounts.credentials import authenticate_key
from billing.api.calls import asked, is_call
from billing.api.charges import CHARGE_SCOPE, answer
from billing.charging import charge_one
from core.api.errors import as_tollgate_error, error_body
from core.api.parsers import checked_json
from core.api.permissions import check_scope
from core.api.renderers import render_notated
from core.errors import AuthenticationFailed, TollgateError
from core.middleware import request_id_of
from core.sql import drop_broken_connection

JSON: Final = "application/json"
LENGTH_DIGITS_MAX: Final = 15
"""Python turns no text of thousands of digits into a number."""

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class FastLane:
    """A WSGI application: answers charges and holds in plain JSON, passes everything else on."""

    def __init__(self, django: Application) -> None:
        self.django = django

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer the request."""
        is_post = environ["REQUEST_METHOD"] == "POST"
        if not is_post or not is_call(environ["PATH_INFO"]) or not is_plain_json(environ):
            return self.django(environ, start_response)
        status, body, headers = charge_response(environ)
        start_response(STATUSES[status], [*headers.items(), ("Content-Length", str(len(body)))])
        return [body]


STATUSES: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def is_plain_json(environ: Environ) -> bool:
    """Whether body and answer are JSON as it is, of a length that is known and allowed."""
    accepts, length = environ.get("HTTP_ACCEPT", "*/*"), environ.get("CONTENT_LENGTH") or ""
    return (
        _media_type(environ.get("CONTENT_TYPE", "")) == JSON
        and any(_media_type(offer) in ("*/*", JSON) for offer in accepts.split(","))
        and "HTTP_CONTENT_ENCODING" not in environ
        and length.isascii()
        and length.isdecimal()
        and len(length) <= LENGTH_DIGITS_MAX
        and 0 < int(length) <= settings.API_BODY_MAX_BYTES
    )


def _media_type(header: str) -> str:
    """The type without its parameters."""
    return header.partition(";")[0].strip()


def charge_response(environ: Environ) -> tuple[int, bytes, dict[str, str]]:
    """Authenticate, parse, charge: status, body, headers."""
    request_id = request_id_of(environ)
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    headers: dict[str, str] = {}
    try:
        status, body, headers = _charge(environ, request_id)
    except Exception as exception:  # as DRF's handler does: whatever it is, the caller gets an answer
        drop_broken_connection()
        error = as_tollgate_error(exception)
        status, body = error.status, _error_body(error, environ, request_id)
        if status == 401:
            headers = {"WWW-Authenticate": 'Bearer realm="tollgate"'}
    return status, render_notated(body), {"Content-Type": JSON, "X-Request-Id": request_id, **headers}


def _charge(environ: Environ, request_id: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    secret = secret_in(environ.get("HTTP_AUTHORIZATION", ""))
    if secret is None:
        raise AuthenticationFailed("not_authenticated", "Send `Authorization: Bearer tg_...`.")
    credential = authenticate_key(secret, is_fresh=False)
    check_scope(credential, CHARGE_SCOPE)
    raw: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    body = checked_json(raw)
    request = asked(environ["PATH_INFO"], body, environ.get("HTTP_IDEMPOTENCY_KEY"), credential)
    return answer(charge_one(request), lambda: _request(environ, request_id))


def _error_body(error: TollgateError, environ: Environ, request_id: str) -> dict[str, Any]:
    return error_body(error, _request(environ, request_id))


def _request(environ: Environ, request_id: str) -> WSGIRequest:
    """Django's view of the request, for the answers that name an address of ours: errors and refusals."""
    request = WSGIRequest(environ)
    request.id = request_id  # type: ignore[attr-defined]
    return request
