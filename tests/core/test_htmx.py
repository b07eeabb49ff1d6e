"""What htmx is told: fragments, redirects that load a page, messages as toasts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib import messages
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.test import RequestFactory

from core.htmx import HtmxMiddleware, target_of, wants_fragment

HTMX = {"hx-request": "true"}


def request_of(headers: dict[str, str]) -> Any:
    request = RequestFactory().get("/", headers=headers)
    request._messages = CookieStorage(request)  # type: ignore[attr-defined]
    return request


@pytest.mark.parametrize(
    ("headers", "wants"),
    [
        ({}, False),
        (HTMX, True),
        (HTMX | {"hx-boosted": "true"}, False),
        (HTMX | {"hx-history-restore-request": "true"}, False),
        ({"hx-request": "yes"}, False),
    ],
)
def test_only_a_plain_htmx_request_wants_a_fragment(headers: dict[str, str], wants: bool) -> None:
    assert wants_fragment(request_of(headers)) is wants


def test_the_target_counts_only_if_htmx_asks() -> None:
    assert target_of(request_of(HTMX | {"hx-target": "list"})) == "list"
    assert target_of(request_of({"hx-target": "list"})) == ""


def test_a_redirect_loads_a_page_and_keeps_its_cookies() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        response = HttpResponseRedirect("/accounts/login/?next=/x")
        response.set_cookie("seen", "1")
        return response

    response = HtmxMiddleware(view)(request_of(HTMX))
    assert response.status_code == 204
    assert response["HX-Redirect"] == "/accounts/login/?next=/x"
    assert response.cookies["seen"].value == "1"
    assert HtmxMiddleware(view)(request_of({})).status_code == 302


def test_messages_come_with_a_fragment_as_toasts() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        messages.success(request, "Granted: <USD 5.00>")
        return HttpResponse("fragment")

    response = HtmxMiddleware(view)(request_of(HTMX))
    assert json.loads(response["HX-Trigger"]) == {
        "toasts": [{"level": "success", "text": "Granted: <USD 5.00>"}]
    }


def test_messages_of_a_redirect_wait_for_the_page() -> None:
    def view(request: HttpRequest) -> HttpResponse:
        messages.success(request, "Done")
        return HttpResponseRedirect("/")

    request = request_of(HTMX)
    response = HtmxMiddleware(view)(request)
    assert not response.has_header("HX-Trigger")
    assert [str(message) for message in messages.get_messages(request)] == ["Done"]


def test_a_page_without_messages_carries_no_toasts() -> None:
    response = HtmxMiddleware(lambda request: HttpResponse("x"))(request_of(HTMX))
    assert not response.has_header("HX-Trigger")


def test_caches_keep_page_and_fragment_apart() -> None:
    response = HtmxMiddleware(lambda request: HttpResponse("x"))(request_of({}))
    assert response["Vary"] == "HX-Request"
