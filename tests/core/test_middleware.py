"""What every request gets, and what only pages pay for."""

from __future__ import annotations

import re

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from core.middleware import PagesMiddleware, RequestIdMiddleware, is_api, is_page


def test_every_answer_carries_a_request_id() -> None:
    answer = Client().get("/healthz")
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-Id"])


def test_a_callers_own_request_id_is_kept() -> None:
    answer = Client().get("/healthz", headers={"X-Request-Id": "nginx-7f.3:1_a"})
    assert answer["X-Request-Id"] == "nginx-7f.3:1_a"


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", 'a"b', "a\x00b", "ä", "{}"])
def test_a_request_id_that_could_spoil_a_log_is_replaced(given: str) -> None:
    request = RequestFactory().get("/healthz", HTTP_X_REQUEST_ID=given)
    answer = RequestIdMiddleware(lambda _: HttpResponse("x"))(request)
    assert re.fullmatch(r"[0-9a-f]{32}", answer["X-Request-Id"])


def test_the_length_of_an_answer_is_told() -> None:
    answer = RequestIdMiddleware(lambda _: HttpResponse("héllo"))(RequestFactory().get("/"))
    assert answer["Content-Length"] == "6"


def test_pages_have_a_content_security_policy_that_allows_only_our_own_files() -> None:
    policy = Client().get("/accounts/login/")["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy


def test_programs_pay_for_no_session_and_no_policy() -> None:
    seen: list[HttpRequest] = []

    def view(request: HttpRequest) -> HttpResponse:
        seen.append(request)
        return HttpResponse("x")

    chain = PagesMiddleware(view)
    answer = chain(RequestFactory().get("/v1/charges"))
    chain(RequestFactory().get("/home"))
    assert not hasattr(seen[0], "session")
    assert hasattr(seen[1], "session")
    assert not answer.has_header("Content-Security-Policy")


@pytest.mark.django_db
def test_a_form_of_a_page_without_its_csrf_token_is_refused() -> None:
    """CSRF is checked in a hook before the view, which the chain of pages has to pass on."""
    answer = Client(enforce_csrf_checks=True).post(
        "/accounts/login/", {"login": "a@example.com", "password": "x"}
    )
    assert answer.status_code == 403


@pytest.mark.django_db
def test_the_api_asks_for_no_csrf_token() -> None:
    answer = Client(enforce_csrf_checks=True).post("/v1/nothing-here", b"{}", content_type="application/json")
    assert answer.status_code != 403


def test_what_is_a_page_and_what_is_not() -> None:
    paths = ["/", "/v1", "/v1/charges", "/healthz", "/readyz", "/static/x.css", "/v10/x"]
    requests = [RequestFactory().get(path) for path in paths]
    assert [is_api(request) for request in requests] == [False, False, True, False, False, False, False]
    assert [is_page(request) for request in requests] == [True, True, False, False, False, True, True]
