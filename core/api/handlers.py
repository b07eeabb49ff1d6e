"""What Django answers when no view does: as JSON below /v1/, as a page elsewhere."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views import defaults

from core.api.errors import error_body
from core.api.renderers import render_json
from core.errors import InvalidRequest, NotFound, PermissionDenied, TollgateError
from core.middleware import is_api


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """400."""
    if is_api(request):
        return json_error(InvalidRequest("invalid_request", "The request is malformed."), request)
    return defaults.bad_request(request, exception)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """403."""
    if is_api(request):
        return json_error(PermissionDenied("permission_denied", "You may not do this."), request)
    return defaults.permission_denied(request, exception)


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """404."""
    if is_api(request):
        return json_error(NotFound("not_found", "There is nothing at this address."), request)
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    """500."""
    if is_api(request):
        message = "Something went wrong on our side. The request id finds it in our logs."
        return json_error(TollgateError("internal", message), request)
    return defaults.server_error(request)


def json_error(error: TollgateError, request: HttpRequest, **extra: Any) -> HttpResponse:
    """An error answer outside of DRF."""
    body = render_json(error_body(error, request) | extra)
    return HttpResponse(body, status=error.status, content_type="application/json")
