"""What every page must keep: no error in the console, no CSP violation, nothing foreign, axe content."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page


@dataclass(frozen=True)
class Size:
    """A window, in CSS pixels."""

    name: str
    width: int
    height: int


DESKTOP = Size("desktop", 1440, 900)
PHONE = Size("phone", 390, 844)
COLOURS: Final = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""The rules of axe by which a page in other colours may fail."""

GRAVE = {"serious", "critical"}


def check_page(
    open_page: Callable[..., Page],
    url: str,
    cookies: list[dict[str, str]] | None = None,
    *,
    is_error: bool = False,
) -> None:
    """Look at `url` in light and dark, on a desktop and a phone, and fail with all that is wrong.

    It is loaded once for each window, and then turns dark where it stands: only colours are other ones.
    `is_error` allows the one console line that a browser writes for an answer of 4xx or 5xx.
    """
    wrong = []
    page = open_page("about:blank", cookies=cookies)
    with watching(page, url) as found:
        for size in (DESKTOP, PHONE):
            page.set_viewport_size({"width": size.width, "height": size.height})
            page.emulate_media(color_scheme="light")
            page.goto(url, wait_until="networkidle")
            found += layout_faults(page) + axe_faults(page)
            page.emulate_media(color_scheme="dark")
            found += layout_faults(page) + [f"in the dark: {line}" for line in axe_faults(page, COLOURS)]
            wrong += [f"{size.name}: {line}" for line in found if not (is_error and "status of" in line)]
            page.goto("about:blank")  # what it asks for by itself just now is broken off
            found.clear()
    assert not wrong, f"{url}\n" + "\n".join(wrong)


@contextmanager
def watching(page: Page, url: str) -> Iterator[list[str]]:
    """Collect console errors (CSP violations are among them), exceptions and requests to other origins."""
    found: list[str] = []
    origin = urlsplit(url).netloc

    def on_request(request: Any) -> None:
        target = urlsplit(request.url)
        if target.scheme in ("http", "https", "ws", "wss") and target.netloc != origin:
            found.append(f"foreign request: {request.url}")

    page.on("console", lambda message: _note(found, message))
    page.on("pageerror", lambda error: found.append(f"exception: {error}"))
    page.on("requestfailed", lambda request: found.append(f"failed: {request.url} {request.failure}"))
    page.on("request", on_request)
    yield found


def _note(found: list[str], message: Any) -> None:
    if message.type in ("error", "warning"):
        found.append(f"console {message.type}: {message.text}")


def wait_until(page: Page, expression: str) -> None:
    """Wait until the expression holds. Playwright's own way polls by eval, which our CSP forbids."""
    for _ in range(100):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {expression}")


OUTSIDE_CARDS = """[...document.querySelectorAll(".is-cards .copy")].filter(button =>
    button.getBoundingClientRect().right > button.closest("tr").getBoundingClientRect().right).length"""


def layout_faults(page: Page) -> list[str]:
    """The page itself never scrolls sideways, and no button lies outside of its card."""
    width = page.evaluate("document.documentElement.scrollWidth")
    window = page.evaluate("document.documentElement.clientWidth")
    found = [f"the page is {width}px wide in a window of {window}px"] if width > window else []
    outside = page.evaluate(OUTSIDE_CARDS)
    return [*found, f"{outside} buttons lie outside of their cards"] if outside else found


def axe_faults(page: Page, options: dict[str, Any] | None = None) -> list[str]:
    """What axe calls serious or critical, by all of its rules or those that `options` name."""
    violations = Axe().run(page, options=options).response["violations"]
    return [
        f"axe {fault['impact']} {fault['id']}: {fault['nodes'][0]['html'][:200]}"
        for fault in violations
        if fault["impact"] in GRAVE
    ]
