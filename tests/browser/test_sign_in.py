"""Signing in and out with an e-mail address, as a person does it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from accounts.models import User
from tests.browser.checks import check_page

pytestmark = pytest.mark.django_db(transaction=True)
OpenPage = Callable[..., Page]
PASSWORD = "a long enough secret"


@pytest.fixture
def mara() -> User:
    """A member of the operator's staff."""
    return User.objects.create_user("mara@operator.example", PASSWORD, is_staff=True)


def fill_in(page: Page, email: str, password: str) -> None:
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password", exact=True).fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_wrong_password_is_refused_without_saying_which_part_was_wrong(
    open_page: OpenPage, live_server: object, mara: User
) -> None:
    page = open_page(f"{live_server}/accounts/login/")
    fill_in(page, mara.email, "wrong")
    expect(page.get_by_role("alert")).to_contain_text("not correct")
    expect(page.get_by_label("Email")).to_have_value(mara.email)


def test_the_right_password_leads_on_and_signing_out_ends_it(
    open_page: OpenPage, live_server: object, mara: User
) -> None:
    page = open_page(f"{live_server}/accounts/login/?next=/accounts/password/change/")
    fill_in(page, "MARA@operator.example", PASSWORD)
    expect(page.get_by_role("heading", name="Change password")).to_be_visible()
    page.get_by_label("Account and appearance").click()
    expect(page.get_by_text(mara.email, exact=True)).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{live_server}/accounts/password/change/")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


@pytest.mark.parametrize(
    "path",
    ["/accounts/password/change/", "/accounts/logout/", "/accounts/email/", "/accounts/password/reset/done/"],
)
def test_the_account_pages_are_clean(
    open_page: OpenPage,
    live_server: object,
    mara: User,
    cookies_of: Callable[..., list[dict[str, str]]],
    path: str,
) -> None:
    check_page(open_page, f"{live_server}{path}", cookies_of(mara, str(live_server)))


@pytest.mark.parametrize(
    "path", ["/accounts/password/reset/", "/accounts/signup/", "/accounts/password/reset/key/x-y/"]
)
def test_the_pages_before_signing_in_are_clean(open_page: OpenPage, live_server: object, path: str) -> None:
    check_page(open_page, f"{live_server}{path}")
