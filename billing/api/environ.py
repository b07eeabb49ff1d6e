"""A request before Django makes one of it, as the short ways of charges and of gateways have it."""

from __future__ import annotations

from codecs import lookup
from time import perf_counter
from typing import Any, Final

from django.core.handlers.wsgi import WSGIRequest
from django.utils.http import parse_header_parameters
from structlog.contextvars import bind_contextvars, clear_contextvars

from billing.telemetry import BEGAN, REQUEST_ID
from core.middleware import request_id_of

Environ = dict[str, Any]
Response = tuple[int, bytes, dict[str, str]]
"""Status, body, headers."""
CHARSETS: Final = frozenset({"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1252"})
"""Those in which parameters of forms and addresses are read; all else is read as UTF-8. JSON always is."""


def begin(environ: Environ) -> str:
    """Bind what the log says of this request; its id."""
    mend_content_type(environ)
    environ[BEGAN] = perf_counter()
    environ[REQUEST_ID] = request_id = request_id_of(environ)
    clear_contextvars()
    bind_contextvars(request_id=request_id)
    return request_id


def mend_content_type(environ: Environ) -> None:
    """Leave out of the content type the parameters that Django raises at before anybody could answer: a
    charset that is none of texts, or one that nobody knows."""
    header = environ.get("CONTENT_TYPE", "")
    if ";" not in header:
        return
    try:
        _, parameters = parse_header_parameters(header)
        charset = lookup(parameters.get("charset", "utf-8")).name
    except (LookupError, ValueError):
        charset = ""
    if charset not in CHARSETS:
        environ["CONTENT_TYPE"] = header.partition(";")[0].strip()


def request_of(environ: Environ, request_id: str) -> WSGIRequest:
    """Django's view of the request, for the answers that name an address of ours: errors and refusals."""
    request = WSGIRequest(environ)
    request.id = request_id  # type: ignore[attr-defined]
    return request
