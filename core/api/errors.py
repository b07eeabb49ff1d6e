"""Every exception as the API's error object: the one place that gives an error its shape and status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import psycopg
import structlog
from django.core import exceptions as django_errors
from django.db import DatabaseError
from django.http import Http404, HttpRequest
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions as drf_errors
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.validation import first_error
from core.database_errors import explain_database_error
from core.errors import InvalidRequest, NotFound, PermissionDenied, TollgateError, TooLarge

DOCS_PATH: Final = "/v1/docs/errors"

log = structlog.get_logger(__name__)

# (type, code) of the errors that Django REST Framework raises itself, by status.
_OF_STATUS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("invalid_request", "invalid_request"),
    401: ("authentication", "not_authenticated"),
    403: ("permission", "permission_denied"),
    404: ("not_found", "not_found"),
    405: ("invalid_request", "method_not_allowed"),
    406: ("invalid_request", "not_acceptable"),
    413: ("too_large", "too_large"),
    415: ("invalid_request", "unsupported_media_type"),
    429: ("rate_limited", "rate_limited"),
}
_OF_DJANGO: Final[tuple[tuple[type[Exception], type[TollgateError], str, str], ...]] = (
    (Http404, NotFound, "not_found", "There is nothing at this address."),
    (django_errors.RequestDataTooBig, TooLarge, "body_too_large", "The body is too large."),
    (django_errors.TooManyFieldsSent, TooLarge, "too_many_parameters", "There are too many parameters."),
    (
        django_errors.DisallowedHost,
        InvalidRequest,
        "invalid_host",
        "The Host header is not one of this server's.",
    ),
    (django_errors.SuspiciousOperation, InvalidRequest, "invalid_request", "The request is malformed."),
    (django_errors.BadRequest, InvalidRequest, "invalid_request", "The request is malformed."),
    (MultiPartParserError, InvalidRequest, "invalid_request", "The request is malformed."),
    (django_errors.PermissionDenied, PermissionDenied, "permission_denied", "You may not do this."),
    (UnicodeError, InvalidRequest, "invalid_utf8", "The request is not valid UTF-8."),
)


def handle_exception(exception: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler: the answer to `exception`, whatever it is."""
    request: Request | None = context.get("request")
    plain_request = request._request if request is not None else None
    if isinstance(exception, drf_errors.APIException):
        return _answer_drf(exception, plain_request)
    return error_response(as_tollgate_error(exception), plain_request)


def as_tollgate_error(exception: Exception) -> TollgateError:
    """The error that a caller is told; one nobody expected is logged in full and told as `internal`."""
    if isinstance(exception, TollgateError):
        return exception
    if isinstance(exception, django_errors.ValidationError):
        param, code, message = first_error(exception)
        return InvalidRequest(code, message, param)
    for kind, error, code, message in _OF_DJANGO:
        if isinstance(exception, kind):
            return error(code, message)
    if isinstance(exception, DatabaseError | psycopg.Error):  # the charge path uses the driver's own cursors
        explained = explain_database_error(exception)
        if explained is not None:
            return explained
    log.error("request_failed", exc_info=exception)
    return TollgateError("internal", "Something went wrong on our side. The request id finds it in our logs.")


def error_response(
    error: TollgateError, request: HttpRequest | None, extra: Mapping[str, Any] | None = None
) -> Response:
    """`{"error": {...}}` with the error's status; `extra` stands beside it (a denial, a balance)."""
    headers = {"WWW-Authenticate": 'Bearer realm="tollgate"'} if error.status == 401 else None
    return Response(error_body(error, request) | dict(extra or {}), status=error.status, headers=headers)


def error_body(error: TollgateError, request: HttpRequest | None) -> dict[str, Any]:
    """The body of an error answer."""
    about = {"doc_url": _doc_url(error.type, request), "request_id": getattr(request, "id", None)}
    return {"error": error.as_dict() | about}


def _answer_drf(exception: drf_errors.APIException, request: HttpRequest | None) -> Response:
    status = exception.status_code
    kind, code = _OF_STATUS.get(status, ("internal", "internal") if status >= 500 else _OF_STATUS[400])
    message, param = str(exception.detail), None
    if isinstance(exception, drf_errors.ValidationError):
        param, code, message = first_error(exception)
    elif isinstance(exception, drf_errors.AuthenticationFailed) and status == 401:
        code = "invalid_key"
    error = TollgateError(code, message, param)
    body = error_body(error, request)
    body["error"] |= {"type": kind, "doc_url": _doc_url(kind, request)}
    headers = {"WWW-Authenticate": 'Bearer realm="tollgate"'} if status == 401 else {}
    if wait := getattr(exception, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    return Response(body, status=status, headers=headers)


def _doc_url(kind: str, request: HttpRequest | None) -> str:
    path = f"{DOCS_PATH}#{kind}"
    try:
        return request.build_absolute_uri(path) if request is not None else path
    except django_errors.DisallowedHost:
        return path
