"""The short way for charges, authorizations, captures and gateways' checks, which stand in the path of calls.

One of them in plain JSON (checks have no body) is answered here, before Django makes a request of it: its
request, signals, middleware and dispatch cost more than the charge itself (docs/performance.md). The pieces
are the same that the view is set up with: credential, scope, body, verb, errors, rendering. Everything else
goes the usual way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Final

from django.conf import settings

from accounts.api.authentication import secret_in
from accounts.credentials import authenticate_key
from billing.api.calls import asked, is_call
from billing.api.charges import CHARGE_SCOPE, answer
from billing.api.environ import Environ, Response, begin, mend_content_type, request_of
from billing.api.gateway import gateway_response, is_gateway_path
from billing.charging import Asked, Outcome, charge_one
from billing.telemetry import note_call
from core.api.errors import as_tollgate_error, error_body
from core.api.parsers import checked_json
from core.api.permissions import check_scope
from core.api.renderers import render_notated
from core.errors import AuthenticationFailed
from core.sql import drop_broken_connection

JSON: Final = "application/json"
LENGTH_DIGITS_MAX: Final = 15
"""Python turns no text of thousands of digits into a number."""

Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class FastLane:
    """A WSGI application: answers charges and holds in plain JSON and checks, passes everything else on."""

    def __init__(self, django: Application) -> None:
        self.django = django

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer the request."""
        respond = _lane_of(environ)
        if respond is None:
            mend_content_type(environ)
            return self.django(environ, start_response)
        status, body, headers = respond(environ)
        start_response(STATUSES[status], [*headers.items(), ("Content-Length", str(len(body)))])
        return [body]


def _lane_of(environ: Environ) -> Callable[[Environ], Response] | None:
    """What answers the request before Django does, if anything."""
    path = environ["PATH_INFO"]
    if is_gateway_path(path):
        return gateway_response
    is_post = environ["REQUEST_METHOD"] == "POST"
    return charge_response if is_post and is_call(path) and is_plain_json(environ) else None


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


def charge_response(environ: Environ) -> Response:
    """Authenticate, parse, charge, in the caller's thread."""
    request_id = begin(environ)
    try:
        return charged_response(charge_one(asked_charge(environ)), environ, request_id)
    except Exception as exception:  # as DRF's handler does: whatever it is, the caller gets an answer
        drop_broken_connection()
        return failure_response(exception, environ, request_id)


def asked_charge(environ: Environ) -> Asked:
    """What the caller asks for; raises as the view would."""
    secret = secret_of(environ)
    if secret is None:
        raise AuthenticationFailed("not_authenticated", "Send `Authorization: Bearer tg_...`.")
    credential = authenticate_key(secret, is_fresh=False, needed=CHARGE_SCOPE)
    check_scope(credential, CHARGE_SCOPE)
    raw: bytes = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    body = checked_json(raw)
    return asked(environ["PATH_INFO"], body, environ.get("HTTP_IDEMPOTENCY_KEY"), credential)


def secret_of(environ: Environ) -> str | None:
    """The integration key's secret that was sent."""
    return secret_in(environ.get("HTTP_AUTHORIZATION", ""))


def charged_response(outcome: Outcome, environ: Environ, request_id: str) -> Response:
    """The outcome's answer; raises what it failed with."""
    status, body, headers = answer(outcome, lambda: request_of(environ, request_id))
    note_call(environ, outcome)
    return _response(status, body, headers, request_id)


def failure_response(exception: Exception, environ: Environ, request_id: str) -> Response:
    """The error that the caller is told."""
    error = as_tollgate_error(exception)
    note_call(environ, exception)
    headers = {"WWW-Authenticate": 'Bearer realm="tollgate"'} if error.status == 401 else {}
    return _response(error.status, error_body(error, request_of(environ, request_id)), headers, request_id)


def _response(status: int, body: dict[str, Any], headers: dict[str, str], request_id: str) -> Response:
    return status, render_notated(body), {"Content-Type": JSON, "X-Request-Id": request_id, **headers}
