"""`ANY /v1/gateway/authorize[/...]`: may this call go on? For nginx `auth_request` and Envoy `ext_authz`.

nginx takes 2xx as yes, 401 and 403 as no, and makes a 500 of anything else. So the answers are 200, 401 and
403 whatever comes in and whatever happens here; what we would have said stands in `X-Tollgate-Status`. As
charges are, checks are answered before Django makes a request (`billing.api.fast_lane`).
"""

from __future__ import annotations

from asyncio import to_thread
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts.credentials import authenticate_key, integration_keys
from billing.api.answers import denial_answer
from billing.api.charges import CHARGE_SCOPE
from billing.api.environ import Environ, Response, begin, request_of
from billing.charging import Authorized, ChargeRequest, Denied, Failed, charge_in_loop, charge_one
from billing.gateway.holding import Held, held, hold_request
from billing.gateway.reading import (
    FAIL_OPEN,
    INTEGRATION_KEY,
    fails_open,
    integration_secret,
    read_event,
)
from billing.telemetry import note_call
from core import clock
from core.api.errors import as_tollgate_error, error_body
from core.api.permissions import check_scope
from core.api.renderers import render_notated
from core.errors import AuthenticationFailed, TollgateError
from core.numbers import plain
from core.sql import drop_broken_connection
from metering.catalogue import is_at_hand, meter_catalogue

log = structlog.get_logger(__name__)

PATH: Final = "/v1/gateway/authorize"
OUR_FAULT: Final = 500
CALLERS_KEY: Final = frozenset({"unknown_key", "key_revoked", "missing_key"})
"""Errors of attribution that are about the key which the caller presents: they are a 401 here."""

HEADERS: Final = (
    "X-Tollgate-Key",
    "X-Api-Key",
    "X-Tollgate-Event",
    "X-Tollgate-Quantity",
    "X-Tollgate-Properties",
    "X-Tollgate-User",
    "X-Tollgate-Fail",
    "X-Request-Id",
)
UNAVAILABLE: Final = "unavailable"

Decision = Held | Denied | Failed | Exception


def is_gateway_path(path: str) -> bool:
    """Whether a path is the gateway's; Envoy appends the caller's own to it."""
    return path.startswith(PATH) and path[len(PATH) : len(PATH) + 1] in ("", "/")


class GatewayView(APIView):
    """The check behind Django, for servers that do not run `config.wsgi`: any method, the same answers."""

    http_method_names = ["get"]
    authentication_classes = []
    permission_classes = []

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """Answer any method."""
        status, body, headers = gateway_response(request.META | {"HTTP_X_REQUEST_ID": request.id})  # type: ignore[attr-defined]
        return HttpResponse(body, status=status, headers=headers)

    @extend_schema(
        operation_id="gateway_authorize",
        tags=["gateway"],
        parameters=[OpenApiParameter(name, str, OpenApiParameter.HEADER) for name in HEADERS],
        responses={
            200: OpenApiResponse(description="The call may go on; X-Tollgate-Authorization is its hold."),
            401: OpenApiResponse(description="The caller's key, or X-Tollgate-Key, is not valid."),
            403: OpenApiResponse(description="The call may not go on; X-Tollgate-Status says why."),
        },
    )
    def get(self, request: Request) -> HttpResponse:
        """May this call go on? Any method and any path below answer alike, with 200, 401 or 403 only."""
        return self.dispatch(request._request)


class GatewayPathView(GatewayView):
    """The same with the caller's path at the end."""

    schema = None


def gateway_response(environ: Environ) -> Response:
    """Whether the call may go on: 200, 401 or 403. Raises nothing."""
    request_id = begin(environ)
    decided: Decision
    try:
        decided = held(charge_one(asked_hold(environ, request_id)))
    except Exception as exception:  # whatever it is, the gateway gets an answer that it understands
        decided = exception
        _drop_connection()
    return _answer(decided, environ, request_id)


async def gateway_response_in_loop(environ: Environ) -> Response:
    """The same in the web server's event loop: the database is asked in threads only."""
    request_id = begin(environ)
    decided: Decision
    try:
        if _needs_no_database(environ):
            asked = asked_hold(environ, request_id)
        else:
            asked = await to_thread(_ask, environ, request_id)
        outcome = await charge_in_loop(asked)
        is_replay = isinstance(outcome, Authorized) and outcome.is_replay
        decided = await to_thread(held, outcome) if is_replay else held(outcome)
    except Exception as exception:  # as above
        decided = exception
    return _answer(decided, environ, request_id)


def _needs_no_database(environ: Environ) -> bool:
    """Whether the key and its meters are known here; a test clock is a row, too."""
    if settings.TOLLGATE_TEST_CLOCK:
        return False
    record = integration_keys.at_hand(environ.get(INTEGRATION_KEY, "").strip(), CHARGE_SCOPE)
    return record is not None and is_at_hand(record.config_version)


def _ask(environ: Environ, request_id: str) -> ChargeRequest:
    drop_broken_connection()
    return asked_hold(environ, request_id)


def _drop_connection() -> None:
    try:
        drop_broken_connection()
    except Exception as exception:  # no answer hangs on it
        log.warning("connection_not_dropped", error=type(exception).__name__)


def _answer(decided: Decision, environ: Environ, request_id: str) -> Response:
    note_call(environ, decided)
    try:
        if isinstance(decided, Held):
            return _allowed(decided, request_id)
        if isinstance(decided, Denied):
            return _denied(decided, environ, request_id)
        error = decided.error if isinstance(decided, Failed) else as_tollgate_error(decided)
        return _refused(error, environ, request_id)
    except Exception as exception:  # an answer that could not be written
        log.error("gateway_check_failed", exc_info=exception)
        return _bare(decided, environ, request_id)


def _bare(decided: Decision, environ: Environ, request_id: str) -> Response:
    """The verdict without a body. Nobody who was refused passes because that could not be written."""
    if isinstance(decided, Denied):
        return 403, b"", _headers(402, decided.reason, request_id)
    error = decided.error if isinstance(decided, Failed) else decided
    if isinstance(error, TollgateError) and error.status < OUR_FAULT:
        status = 401 if _is_callers_key(error) else 403
        return status, b"", _headers(401 if status == 401 else error.status, error.code, request_id)
    if fails_open(environ, settings.GATEWAY_FAIL_OPEN):
        return 200, b"", _headers(503, FAIL_OPEN, request_id)
    return 403, b"", _headers(503, UNAVAILABLE, request_id)


def _is_callers_key(error: TollgateError) -> bool:
    return isinstance(error, AuthenticationFailed) or error.code in CALLERS_KEY


def asked_hold(environ: Environ, request_id: str) -> ChargeRequest:
    """What a check asks of the charge path; raises what is wrong with it."""
    credential = authenticate_key(integration_secret(environ), is_fresh=False, needed=CHARGE_SCOPE)
    check_scope(credential, CHARGE_SCOPE)
    # At the version the key was read with: the path reads key and event again where it finds a newer one.
    meters = meter_catalogue(credential.config_version)
    read = partial(read_event, environ, request_id, clock.now())
    return hold_request(read, meters, credential, settings.GATEWAY_HOLD)


def _allowed(held: Held, request_id: str) -> Response:
    headers = {
        "X-Tollgate-Status": "200",
        "X-Tollgate-Authorization": held.authorization,
        "X-Tollgate-Balance": plain(held.available),
        "X-Request-Id": request_id,
    }
    return 200, b"", headers


def _denied(denied: Denied, environ: Environ, request_id: str) -> Response:
    headers = _headers(402, denied.reason, request_id) | {"X-Tollgate-Balance": plain(denied.available)}
    return 403, _body(denial_answer(denied, request_of(environ, request_id)), environ), headers


def _refused(error: TollgateError, environ: Environ, request_id: str) -> Response:
    """The answer to an error: the caller's (401), the operator's (403), or ours (as the fail mode says)."""
    if error.status >= OUR_FAULT:
        return _our_fault(error, environ, request_id)
    body = _body(error_body(error, request_of(environ, request_id)), environ)
    if _is_callers_key(error):
        headers = _headers(401, error.code, request_id) | {"WWW-Authenticate": 'Bearer realm="api"'}
        return 401, body, headers
    return 403, body, _headers(error.status, error.code, request_id)


def _our_fault(error: TollgateError, environ: Environ, request_id: str) -> Response:
    """Fail open: 200 without a hold. Fail closed: 403. Both say 503 in X-Tollgate-Status."""
    if fails_open(environ, settings.GATEWAY_FAIL_OPEN):
        log.error("gateway_failed_open", code=error.code)
        return 200, b"", _headers(503, FAIL_OPEN, request_id)
    body = _body(error_body(error, request_of(environ, request_id)), environ)
    return 403, body, _headers(503, UNAVAILABLE, request_id)


def _headers(status: int, reason: str, request_id: str) -> dict[str, str]:
    return {
        "X-Tollgate-Status": str(status),
        "X-Tollgate-Reason": reason,
        "X-Request-Id": request_id,
        "Content-Type": "application/json",
    }


def _body(body: Mapping[str, Any], environ: Environ) -> bytes:
    return b"" if environ.get("REQUEST_METHOD") == "HEAD" else render_notated(body)
