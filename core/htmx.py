"""What htmx needs of the server: which requests want a fragment, and how redirects and messages reach it."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.cache import patch_vary_headers


def wants_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part: not a boosted link, not the restoring of a page from history."""
    return (
        _is_htmx(request)
        and not _says(request, "HX-Boosted")
        and not _says(request, "HX-History-Restore-Request")
    )


def target_of(request: HttpRequest) -> str:
    """The id of the element that the answer replaces; empty when htmx did not ask."""
    return request.headers.get("HX-Target", "") if _is_htmx(request) else ""


def _is_htmx(request: HttpRequest) -> bool:
    return _says(request, "HX-Request")


def _says(request: HttpRequest, header: str) -> bool:
    return request.headers.get(header) == "true"


class HtmxMiddleware:
    """Lets fragments behave like pages: redirects load a page, messages become toasts, caches keep apart.

    Without it a redirect to the login page would be swapped into a table.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request; only what htmx asked for is changed."""
        response = self.get_response(request)
        patch_vary_headers(response, ["HX-Request"])
        if not wants_fragment(request):
            return response
        if 300 <= response.status_code < 400 and response.has_header("Location"):
            return _redirect(request, response)
        _add_toasts(request, response)
        return response


def _redirect(request: HttpRequest, response: HttpResponseBase) -> HttpResponse:
    """The same redirect as a header that makes the browser load the page, keeping the cookies set."""
    answer = HttpResponse(status=204, headers={"HX-Redirect": response["Location"]})
    answer.cookies.update(response.cookies)
    return answer


def _add_toasts(request: HttpRequest, response: HttpResponseBase) -> None:
    if not hasattr(request, "_messages"):
        return
    toasts = [
        {"level": message.level_tag, "text": str(message)} for message in messages.get_messages(request)
    ]
    if toasts:
        response["HX-Trigger"] = json.dumps({"toasts": toasts})
