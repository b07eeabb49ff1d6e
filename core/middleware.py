"""Request ids, and a chain of middleware that only pages pay for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from time import perf_counter
from typing import Any, cast
from uuid import uuid4

import structlog
from django.conf import settings
from django.core.handlers.exception import convert_exception_to_response
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.module_loading import import_string
from structlog.contextvars import bind_contextvars, clear_contextvars

log = structlog.get_logger(__name__)

GetResponse = Callable[[HttpRequest], HttpResponseBase]

API_PREFIX = "/v1/"
NOT_PAGES = (API_PREFIX, "/healthz", "/readyz", "/metrics")
_TOO_OFTEN = ("/healthz", "/readyz", "/metrics", "/static/")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")


class RequestIdMiddleware:
    """Gives each request an id (`request.id`), the caller's `X-Request-Id` if it is a plain one.

    The id stands in every log line and error of the request, and in the answer's header.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        request_id = request_id_of(request.META)
        request.id = request_id  # type: ignore[attr-defined]
        clear_contextvars()
        bind_contextvars(request_id=request_id)
        began = perf_counter()
        response = self.get_response(request)
        response["X-Request-Id"] = request_id
        log_request(request, response, perf_counter() - began)
        if isinstance(response, HttpResponse) and not response.has_header("Content-Length"):
            response["Content-Length"] = str(len(response.content))  # else the server sends chunks
        return response


class PagesMiddleware:
    """Runs `settings.PAGES_MIDDLEWARE` around pages only.

    Calls below /v1/ carry their own credential, so sessions, CSRF, CSP and htmx would only cost time.
    Each member's hooks for views and exceptions are passed on too: CSRF checks in `process_view`.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        self._members: list[Any] = []
        self._pages = get_response
        for path in reversed(settings.PAGES_MIDDLEWARE):
            member = import_string(path)(self._pages)
            self._members.insert(0, member)
            self._pages = cast(GetResponse, convert_exception_to_response(member))

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        return self._pages(request) if is_page(request) else self.get_response(request)

    def process_view(self, request: HttpRequest, *view: Any) -> HttpResponseBase | None:
        """The first answer that a member gives before the view runs."""
        return self._first_answer("process_view", self._members, request, *view)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponseBase | None:
        """The first answer that a member gives to a view's exception, innermost first."""
        return self._first_answer("process_exception", self._members[::-1], request, exception)

    def _first_answer(
        self, hook: str, members: list[Any], request: HttpRequest, *arguments: Any
    ) -> HttpResponseBase | None:
        if not is_page(request):
            return None
        for member in members:
            answer: HttpResponseBase | None = getattr(member, hook, _silent)(request, *arguments)
            if answer is not None:
                return answer
        return None


def log_request(request: HttpRequest, response: HttpResponseBase, seconds: float) -> None:
    """One line: what was asked for, the answer's status, how long it took. Not of what asks every second.

    The path is named by its pattern where it is sign-in's, whose addresses are secrets themselves.
    """
    path = request.path_info
    if path.startswith(_TOO_OFTEN):
        return
    if path.startswith("/accounts/"):
        path = getattr(request.resolver_match, "route", "/accounts/")
    log.info(
        "request_answered",
        method=request.method,
        path=path,
        status=response.status_code,
        seconds=round(seconds, 6),
    )


def request_id_of(environ: Mapping[str, Any]) -> str:
    """The caller's `X-Request-Id` if it is a plain one, else a new id."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    return given if _REQUEST_ID.fullmatch(given) else uuid4().hex


def is_api(request: HttpRequest) -> bool:
    """Whether the request is for the HTTP API."""
    return request.path_info.startswith(API_PREFIX)


def is_page(request: HttpRequest) -> bool:
    """Whether the request is a person's, not a program's."""
    return not request.path_info.startswith(NOT_PAGES)


def _silent(*arguments: Any) -> None:
    """Stands in for a hook that a member does not have."""
