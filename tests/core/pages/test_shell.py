"""The shell around a page: theme, environment, navigation by role."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client, RequestFactory

from core.pages.shell import Group, Item, Shell


def shell_of(path: str = "/styleguide", *, user: object = None, theme: str = "") -> Shell:
    request: Any = RequestFactory().get(path)
    request.user = user or SimpleNamespace(is_authenticated=True, is_staff=True)
    if theme:
        request.COOKIES["theme"] = theme
    return Shell(request)


@pytest.mark.parametrize(
    ("cookie", "theme"), [("", "auto"), ("dark", "dark"), ("light", "light"), ('"><script>', "auto")]
)
def test_the_theme_is_one_of_three(cookie: str, theme: str) -> None:
    assert shell_of(theme=cookie).theme == theme


def test_navigation_shows_only_what_has_an_address(settings: LazySettings) -> None:
    settings.STAFF_NAVIGATION = (
        Group("Built", (Item("Guide", "styleguide", "house"), Item("Later", "no-such-name", "house"))),
        Group("Empty", (Item("Later", "no-such-name", "house"),)),
    )
    ((label, links),) = shell_of().navigation
    assert label == "Built"
    assert [link.item.label for link in links] == ["Guide"]


@pytest.mark.parametrize(
    ("path", "is_current"),
    [("/styleguide", True), ("/styleguide/list", True), ("/styleguides", False), ("/", False)],
)
def test_a_link_is_current_on_its_page_and_below(settings: LazySettings, path: str, is_current: bool) -> None:
    settings.STAFF_NAVIGATION = (Group("Built", (Item("Guide", "styleguide", "house"),)),)
    ((_, (link,)),) = shell_of(path).navigation
    assert link.is_current is is_current


def test_a_member_has_a_navigation_of_their_own(settings: LazySettings) -> None:
    settings.MEMBER_NAVIGATION = (Group("Mine", (Item("Guide", "styleguide", "house"),)),)
    member = shell_of(user=SimpleNamespace(is_authenticated=True, is_staff=False))
    assert [label for label, _ in member.navigation] == ["Mine"]
    assert member.search_url == ""


def test_a_stranger_is_no_staff() -> None:
    assert not shell_of(user=SimpleNamespace(is_authenticated=False, is_staff=True)).is_staff


def test_the_theme_is_kept_and_leads_back(client: Client) -> None:
    response = client.post("/theme", {"theme": "dark", "next": "/styleguide?x=1"})
    assert response["Location"] == "/styleguide?x=1"
    assert response.cookies["theme"].value == "dark"
    assert response.cookies["theme"]["samesite"] == "Lax"


@pytest.mark.parametrize("way_back", ["https://evil.example/", "//evil.example", "javascript:alert(1)", ""])
def test_the_theme_switch_leads_nowhere_else(client: Client, way_back: str) -> None:
    response = client.post("/theme", {"theme": "pink", "next": way_back})
    assert response["Location"] == "/"
    assert response.cookies["theme"].value == "auto"


def test_the_theme_is_only_posted(client: Client) -> None:
    assert client.get("/theme").status_code == 405
