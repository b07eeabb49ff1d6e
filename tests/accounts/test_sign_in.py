"""Signing in with e-mail and password: who gets in, how often one may try, and that Redis is not needed."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from django.contrib.sessions.models import Session
from django.test import Client

from accounts.audit import changes_of
from accounts.models import User
from accounts.users import add_to_staff, create_user

PASSWORD = "correct horse battery"
LOGIN = "/accounts/login/"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_limits(settings: Any) -> None:
    """The limits count in a Redis that outlives the test: each test counts under names of its own."""
    settings.CACHES = {"default": settings.CACHES["default"] | {"KEY_PREFIX": uuid4().hex}}


@pytest.fixture
def ana() -> User:
    return add_to_staff(create_user(email=f"ana-{uuid4().hex}@example.com", password=PASSWORD), "ops")


@pytest.fixture
def browser() -> Client:
    return Client(raise_request_exception=False)


def sign_in(browser: Client, email: str, password: str = PASSWORD, **query: str) -> Any:
    return browser.post(LOGIN, {"login": email, "password": password, **query})


def signed_in(browser: Client) -> bool:
    return "_auth_user_id" in browser.session


def test_the_right_password_signs_in_and_leads_home(browser: Client, ana: User) -> None:
    response = sign_in(browser, ana.email)
    assert (response.status_code, response["Location"]) == (302, "/")
    assert signed_in(browser)


def test_capitals_in_the_address_do_not_matter(browser: Client, ana: User) -> None:
    sign_in(browser, ana.email.upper())
    assert signed_in(browser)


@pytest.mark.parametrize("password", ["", "wrong", PASSWORD.upper(), PASSWORD + " ", "x" * 10_000, "\x00"])
def test_a_wrong_password_does_not(browser: Client, ana: User, password: str) -> None:
    assert sign_in(browser, ana.email, password).status_code == 200
    assert not signed_in(browser)


@pytest.mark.parametrize(
    "email", ["", "nobody@example.com", "x" * 10_000, "a\x00@example.com", "' OR 1=1 --", "é@é.é"]
)
def test_nobody_else_gets_in(browser: Client, email: str) -> None:
    assert sign_in(browser, email).status_code == 200
    assert not signed_in(browser)


def test_an_unknown_address_and_a_wrong_password_read_the_same(browser: Client, ana: User) -> None:
    wrong = sign_in(browser, ana.email, "wrong").content.decode()
    unknown = sign_in(browser, "nobody@example.com", "wrong").content.decode()
    sentence = "not correct"
    assert sentence in wrong
    assert sentence in unknown


def test_who_was_switched_off_stays_out(browser: Client, ana: User) -> None:
    User.objects.filter(pk=ana.pk).update(is_active=False)
    sign_in(browser, ana.email)
    assert not signed_in(browser)


def test_who_has_no_password_stays_out(browser: Client) -> None:
    user = create_user(email=f"{uuid4().hex}@example.com")
    for password in ("", "!", "None"):
        sign_in(browser, user.email, password)
    assert not signed_in(browser)


def test_signing_in_leads_to_no_foreign_page(browser: Client, ana: User) -> None:
    for target in ("https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example"):
        browser.logout()
        assert sign_in(browser, ana.email, next=target)["Location"] == "/"


def test_a_form_from_elsewhere_is_refused(ana: User) -> None:
    browser = Client(enforce_csrf_checks=True, raise_request_exception=False)
    assert sign_in(browser, ana.email).status_code == 403
    assert not signed_in(browser)


def test_nobody_opens_an_account_by_themselves(browser: Client) -> None:
    payload = {"email": "new@example.com", "password1": PASSWORD, "password2": PASSWORD}
    browser.post("/accounts/signup/", payload)
    assert not User.objects.filter(email="new@example.com").exists()


@pytest.mark.usefixtures("redis_server")
def test_after_five_wrong_tries_even_the_right_password_waits(browser: Client, ana: User) -> None:
    for _ in range(5):
        sign_in(browser, ana.email, "wrong")
    sign_in(browser, ana.email)
    assert not signed_in(browser)


def test_sessions_are_in_the_database_not_in_redis(browser: Client, ana: User) -> None:
    sign_in(browser, ana.email)
    assert Session.objects.filter(session_key=browser.session.session_key).exists()


def test_without_redis_people_sign_in_all_the_same(ana: User, settings: Any) -> None:
    settings.CACHES = {"default": settings.CACHES["default"] | {"LOCATION": "unix:///nowhere/redis.sock"}}
    browser = Client(raise_request_exception=False)
    for _ in range(7):
        assert sign_in(browser, ana.email, "wrong").status_code == 200
    assert sign_in(browser, ana.email).status_code == 302
    assert signed_in(browser)


def test_signing_in_is_no_change_of_the_person(browser: Client, ana: User) -> None:
    before = len(changes_of(ana))
    sign_in(browser, ana.email)
    assert len(changes_of(ana)) == before
