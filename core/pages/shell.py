"""The shell around every page: theme, environment, navigation. A context processor, cheap on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from core.display.locale import locale_of

THEMES: Final = ("auto", "light", "dark")
THEME_COOKIE: Final = "theme"


@dataclass(frozen=True)
class Item:
    """A link of the navigation. `key` is the letter that opens it after a `g`."""

    label: str
    url_name: str
    icon: str
    key: str = ""


@dataclass(frozen=True)
class Group:
    """A titled group of links."""

    label: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Link:
    """An item with its address, and whether the page shown lies under it."""

    item: Item
    url: str
    is_current: bool


class Shell:
    """What `base.html` needs of a request. Worked out only if a template asks."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request

    @cached_property
    def theme(self) -> str:
        """light, dark, or auto: as the system has it."""
        chosen = self.request.COOKIES.get(THEME_COOKIE, "auto")
        return chosen if chosen in THEMES else "auto"

    @property
    def locale(self) -> str:
        """The locale of numbers, as the browser writes it (`de-CH`)."""
        return str(locale_of(self.request)).replace("_", "-")

    @property
    def environment(self) -> str:
        """`production`, or whatever else this installation calls itself (`sandbox`)."""
        return str(getattr(settings, "TOLLGATE_ENVIRONMENT", "sandbox"))

    @property
    def is_staff(self) -> bool:
        """Whether the reader works for the operator."""
        user = getattr(self.request, "user", None)
        return bool(user and user.is_authenticated and user.is_staff)

    @cached_property
    def search_url(self) -> str:
        """Where the search box leads; empty while there is no search, or for a customer's member."""
        return _address("search") if self.is_staff else ""

    @cached_property
    def navigation(self) -> list[tuple[str, list[Link]]]:
        """The groups that have at least one page, for staff or for a member."""
        name = "STAFF_NAVIGATION" if self.is_staff else "MEMBER_NAVIGATION"
        groups: Sequence[Group] = getattr(settings, name, ())
        linked = [(group.label, self._links(group)) for group in groups]
        return [(label, links) for label, links in linked if links]

    def _links(self, group: Group) -> list[Link]:
        links = [(item, _address(item.url_name)) for item in group.items]
        return [Link(item, url, self._is_under(url)) for item, url in links if url]

    def _is_under(self, url: str) -> bool:
        path = self.request.path
        return path == url or (url != "/" and path.startswith(url.rstrip("/") + "/"))


def shell(request: HttpRequest) -> dict[str, Shell]:
    """The context processor: `shell` in every template."""
    return {"shell": Shell(request)}


def _address(name: str) -> str:
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
