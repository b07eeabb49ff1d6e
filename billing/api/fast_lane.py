"""The short way for `POST /v1/charges`, which stands in the path of the operator's calls.

A plain JSON charge is answered here, before the resolver, the layers for pages and DRF's dispatch; those
cost more than the charge itself (docs/performance.md). The pieces are the same that DRF is set up with:
authentication, scope, body, errors, rendering. Everything else about /v1/charges goes the usual way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from accounts.api.authentication import bearer_secret
from accounts.credentials import authenticate_key
from billing.api.charges import CHARGE_SCOPE, charge_event
from core.api.errors import as_tollgate_error, error_body
from core.api.parsers import json_body
from core.api.permissions import check_scope
from core.api.renderers import render_json
from core.errors import AuthenticationFailed

PATH: Final = "/v1/charges"
JSON: Final = "application/json"


class FastLane:
    """Middleware: answers plain JSON charges, passes everything else on."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        if request.path_info == PATH and request.method == "POST" and is_plain_json(request):
            return charge_response(request)
        return self.get_response(request)


def is_plain_json(request: HttpRequest) -> bool:
    """Whether request and answer are JSON, so that nothing is to negotiate."""
    accepts = request.META.get("HTTP_ACCEPT", "*/*")
    return request.META.get("CONTENT_TYPE", "").startswith(JSON) and ("*/*" in accepts or JSON in accepts)


def charge_response(request: HttpRequest) -> HttpResponse:
    """Authenticate, parse, charge, answer."""
    headers: dict[str, str] = {}
    try:
        secret = bearer_secret(request)
        if secret is None:
            raise AuthenticationFailed("not_authenticated", "Send `Authorization: Bearer tg_...`.")
        credential = authenticate_key(secret, is_fresh=False)
        check_scope(credential, CHARGE_SCOPE)
        status, body, headers = charge_event(request, json_body(request), credential)
    except Exception as exception:  # as DRF's handler does: whatever it is, the caller gets an answer
        error = as_tollgate_error(exception)
        status, body = error.status, error_body(error, request)
        if status == 401:
            headers = {"WWW-Authenticate": 'Bearer realm="tollgate"'}
    return HttpResponse(render_json(body), status=status, content_type=JSON, headers=headers)
