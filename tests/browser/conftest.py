"""Fixtures of the browser tests: one chromium for a module, a page that reports what went wrong."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from accounts.models import User
from tests.browser.checks import DESKTOP, Size

ASYNC_UNSAFE = "DJANGO_ALLOW_ASYNC_UNSAFE"

OpenPage = Callable[..., Page]
Cookies = list[dict[str, str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs chromium: skipped without it, or failed where all has to run."""
    for item in items:
        if "/tests/browser/" in item.path.as_posix():
            item.add_marker(pytest.mark.chromium)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's chromium, headless. Not for longer than a module: other tests run loops of their own."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    os.environ[ASYNC_UNSAFE] = "true"  # Playwright's loop makes Django believe that it runs in async code
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()
    del os.environ[ASYNC_UNSAFE]


@pytest.fixture
def cookies_of() -> Callable[[User, str], Cookies]:
    """`cookies_of(user, site)` are the cookies of somebody who has signed in, for `open_page`."""

    def sign_in(user: User, site: str) -> Cookies:
        client = Client()
        client.force_login(user, "django.contrib.auth.backends.ModelBackend")
        return [{"name": name, "value": morsel.value, "url": site} for name, morsel in client.cookies.items()]

    return sign_in


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[OpenPage]:
    """`open_page(url)` in a context of its own; `scheme`, `size`, `cookies`, `has_script` as wanted."""
    contexts: list[BrowserContext] = []

    def open_(
        url: str,
        *,
        scheme: str = "light",
        size: Size = DESKTOP,
        cookies: Cookies | None = None,
        has_script: bool = True,
    ) -> Page:
        context = chromium.new_context(
            viewport={"width": size.width, "height": size.height},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
            java_script_enabled=has_script,
            permissions=["clipboard-read", "clipboard-write"],
        )
        contexts.append(context)
        context.set_default_timeout(30_000)
        if cookies:
            context.add_cookies(cookies)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(url)
        return page

    yield open_
    for context in contexts:
        context.close()
