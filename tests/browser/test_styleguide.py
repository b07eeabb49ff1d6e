"""The components in a browser, on the style guide's pages: looks that machines can judge, and behaviour."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.conf import LazySettings
from playwright.sync_api import Page, expect

from tests.browser.checks import PHONE, Size, check_page, layout_faults, wait_until, watching

pytestmark = pytest.mark.django_db(transaction=True)
OpenPage = Callable[..., Page]
DRAWN = "globalThis.Chart !== undefined && Object.keys(Chart.instances).length === 4"


@pytest.fixture
def site(live_server: object, settings: LazySettings) -> str:
    """The address of a server on which the style guide is shown."""
    settings.TOLLGATE_DEMO = True
    return str(live_server)


@pytest.mark.parametrize(
    "path",
    [
        "/styleguide",
        "/styleguide?as=member",
        "/styleguide/list",
        "/styleguide/list?empty=1",
        "/accounts/login/",
    ],
)
def test_a_page_is_clean_in_light_and_dark_on_desktop_and_phone(
    open_page: OpenPage, site: str, path: str
) -> None:
    check_page(open_page, site + path)


@pytest.mark.parametrize("path", ["/no-such-page", "/styleguide/confirm?x=1"])
def test_error_and_question_pages_are_clean(open_page: OpenPage, site: str, path: str) -> None:
    check_page(open_page, site + path, is_error=True)


def test_charts_are_drawn_and_have_a_table(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide")
    canvas = page.get_by_role("img", name="Revenue by meter")
    wait_until(page, DRAWN)
    expect(canvas).to_have_attribute("aria-label", re.compile("tokens in, tokens out, images"))
    figure = page.locator("#by-meter")
    figure.get_by_text("Figures as a table").click()
    expect(figure.get_by_role("row")).to_have_count(31)
    expect(figure.get_by_role("columnheader", name="tokens out")).to_be_visible()


def test_a_chart_is_destroyed_before_a_swap_and_drawn_after_it(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide")
    wait_until(page, DRAWN)
    page.evaluate("globalThis.replaced = document.querySelector('#by-meter canvas')")
    swap = "{target: '#by-meter', select: '#by-meter', swap: 'outerHTML'}"
    page.evaluate(f"void htmx.ajax('GET', '/styleguide', {swap})")
    wait_until(page, "!globalThis.replaced.isConnected")
    wait_until(page, DRAWN)
    assert page.evaluate("Chart.getChart(globalThis.replaced) === undefined")


def test_charts_are_drawn_anew_in_the_colours_of_a_new_theme(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide")
    wait_until(page, DRAWN)
    tick = "Chart.getChart(document.querySelector('#calls canvas')).options.scales.x.ticks.color"
    light = page.evaluate(tick)
    page.get_by_label("Account and appearance").click()
    page.get_by_role("button", name="Dark").click()
    wait_until(page, f"{tick} !== '{light}'")


def test_searching_replaces_the_table_and_keeps_the_address(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list")
    page.evaluate("globalThis.isSamePage = true")
    page.get_by_placeholder("Search name or id").fill("quill")
    expect(page).to_have_url(f"{site}/styleguide/list?q=quill")
    expect(page.locator("tbody tr")).to_have_count(8)
    expect(page.locator("#announcer")).to_have_text("8 rows")
    assert page.evaluate("globalThis.isSamePage")
    page.go_back()
    expect(page).to_have_url(f"{site}/styleguide/list")
    expect(page.locator("tbody tr")).to_have_count(25)
    expect(page.get_by_placeholder("Search name or id")).to_have_value("")


def test_sorting_says_its_direction_and_survives_a_filter(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list")
    page.get_by_role("link", name="Calls").click()
    expect(page.locator("th[aria-sort]")).to_have_text("Calls")
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Status").select_option("suspended")
    expect(page).to_have_url(re.compile(r"status=suspended.*sort=-calls|sort=-calls.*status=suspended"))
    page.get_by_role("link", name="Calls").click()
    expect(page.locator("th[aria-sort]")).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("tbody .badge").first).to_have_text("Suspended")


def test_paging_goes_on_and_comes_back(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list")
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".listing-foot")).to_contain_text("26 to 50 of 137")
    expect(page).to_have_url(f"{site}/styleguide/list?page=2")
    page.get_by_role("link", name="Previous").click()
    expect(page).to_have_url(f"{site}/styleguide/list")


def test_a_filter_chip_takes_its_filter_away(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list?status=past_due&q=a")
    page.get_by_role("link", name="Remove the filter Status: Past due").click()
    expect(page).to_have_url(f"{site}/styleguide/list?q=a")
    expect(page.get_by_label("Status")).to_have_value("")


def test_chosen_columns_show(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list")
    page.get_by_text("Columns").click()
    page.get_by_label("Plan").check()
    expect(page.get_by_role("columnheader", name="Plan")).to_be_visible()
    expect(page).to_have_url(f"{site}/styleguide/list?show=plan")


def test_a_live_list_refreshes_itself_without_new_history(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list?live=1")
    before = page.evaluate("history.length")
    page.mouse.move(1, 1)
    with page.expect_response(
        lambda response: "live=1" in response.url and response.request.is_navigation_request() is False
    ):
        pass
    assert page.evaluate("history.length") == before


def test_the_list_works_without_script(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list", has_script=False)
    page.get_by_placeholder("Search name or id").fill("quill")
    page.get_by_label("Status").select_option("active")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile("q=quill.*status=active"))
    expect(page.locator("tbody tr").first).to_contain_text("Quill & Co")
    page.get_by_role("link", name="Revenue").click()
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("Revenue")


def test_rows_are_cards_on_a_phone_and_can_be_ordered(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list", size=PHONE)
    expect(page.locator("thead")).to_be_hidden()
    expect(page.get_by_role("row").first).to_be_visible()
    page.get_by_label("Order").select_option(label="Customer")
    expect(page).to_have_url(f"{site}/styleguide/list?sort=name")
    expect(page.locator("tbody tr").first).to_contain_text("Basalt Security")


@pytest.mark.parametrize("width", [641, 820, 1000, 1121, 1920])
def test_a_table_of_many_columns_scrolls_in_its_frame_not_the_page(
    open_page: OpenPage, site: str, width: int
) -> None:
    columns = "show=plan&show=public_id&show=last_call_at"
    page = open_page(f"{site}/styleguide/list?{columns}", size=Size("between", width, 800))
    assert not layout_faults(page)
    expect(page.get_by_role("columnheader", name="Customer")).to_be_visible()


def test_the_menu_opens_on_a_phone(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide", size=PHONE)
    link = page.get_by_role("link", name="Style guide")
    expect(link).to_be_hidden()
    page.get_by_role("button", name="Menu", exact=True).click()
    expect(link).to_be_visible()
    page.keyboard.press("Escape")
    expect(link).to_be_hidden()


def test_the_theme_is_switched_at_once_and_kept(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide")
    page.get_by_label("Account and appearance").click()
    with page.expect_response("**/theme"):
        page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


def test_the_theme_is_switched_without_script(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide", has_script=False)
    page.get_by_label("Account and appearance").click()
    page.get_by_role("button", name="Dark").click()
    expect(page).to_have_url(f"{site}/styleguide")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_a_question_states_effect_and_amount_and_wants_its_word(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide")
    with watching(page, site) as found:
        page.get_by_role("link", name="Top up").first.click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_contain_text("booked to leakage")
        button = dialog.get_by_role("button", name="Write off USD 1,284.31")
        expect(button).to_be_disabled()
        dialog.get_by_role("textbox").fill("north")
        expect(button).to_be_disabled()
        dialog.get_by_role("textbox").fill("northwind")
        button.click()
        expect(page.locator(".toast")).to_contain_text("Written off: USD 1,284.31.")
    assert not found


def test_the_question_is_a_page_without_script_and_the_server_checks_the_word(
    open_page: OpenPage, site: str
) -> None:
    page = open_page(f"{site}/styleguide", has_script=False)
    page.get_by_role("link", name="Top up").first.click()
    expect(page).to_have_url(f"{site}/styleguide/confirm")
    page.get_by_role("textbox").fill("wrong")
    page.get_by_role("button", name="Write off USD 1,284.31").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing has been done")


def test_keys_open_help_and_search_but_not_while_one_types(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list")
    page.keyboard.press("/")
    expect(page.get_by_placeholder("Search name or id")).to_be_focused()
    page.keyboard.type("a?")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.locator("h1").click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_an_id_is_copied(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide")
    page.get_by_role("button", name="Copy cus_1h4k0").click()
    expect(page.locator("#announcer")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "cus_1h4k0"


def test_a_failed_request_says_so(open_page: OpenPage, site: str) -> None:
    page = open_page(f"{site}/styleguide/list")
    page.route("**/styleguide/list?*", lambda route: route.fulfill(status=500, body="no"))
    page.get_by_role("link", name="Calls").click()
    expect(page.locator(".toast.is-error")).to_be_visible()
    expect(page.locator("tbody tr")).to_have_count(25)
