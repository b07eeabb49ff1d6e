"""A request before Django makes one of it, as the short ways of charges and of gateways have it."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from structlog.contextvars import bind_contextvars, clear_contextvars

from billing.telemetry import BEGAN, REQUEST_ID
from core.middleware import request_id_of

Environ = dict[str, Any]
Response = tuple[int, bytes, dict[str, str]]
"""Status, body, headers."""


def begin(environ: Environ) -> str:
    """Bind what the log says of this request; its id."""
    environ[BEGAN] = perf_counter()
    environ[REQUEST_ID] = request_id = request_id_of(environ)
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    return request_id


def request_of(environ: Environ, request_id: str) -> WSGIRequest:
    """Django's view of the request, for the answers that name an address of ours: errors and refusals."""
    request = WSGIRequest(environ)
    request.id = request_id  # type: ignore[attr-defined]
    return request
