"""Home, the demo's buttons, quarantine and the members' pages, as a browser shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import override_settings
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.permissions import STAFF_GROUPS
from accounts.users import add_member, add_to_staff, create_user
from billing.charging import Mode
from billing.demo import cast
from billing.demo.cast import CAST
from billing.demo.notes import write_notes
from billing.demo.people import issue_gateway_key
from billing.demo.stage import enter, set_prices
from billing.wallets import top_up
from core import clock
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version
from tests.browser.checks import check_page

pytestmark = pytest.mark.django_db(transaction=True)
OpenPage = Callable[..., Page]
CookiesOf = Callable[[User, str], list[dict[str, str]]]


@pytest.fixture
def ada() -> User:
    """An administrator; the groups are made anew, since tests with real commits empty all tables."""
    for name in STAFF_GROUPS:
        Group.objects.get_or_create(name=name)
    return add_to_staff(create_user(email="ada@operator.example"), "admin")


@pytest.fixture
def acme() -> Tenant:
    """A customer with a charge, an unheard name and an event in quarantine."""
    make_meter()
    version = make_version([{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}])
    tenant = make_tenant(version, balance="10")
    charge(tenant, "a", properties={"tokens": 100}, costs=[{"vendor": "v", "amount": "3", "currency": "USD"}])
    charge(tenant, "b", Mode.REPORT, event="compltion", properties={"tokens": 100})
    charge(tenant, "c", Mode.REPORT, workspace="nowhere", properties={"tokens": 100})
    return tenant


@pytest.fixture
def stage(live_server: Any, tmp_path: Path) -> Iterator[str]:
    """The demo with the customers that its buttons charge."""
    versions = set_prices(clock.now().replace(year=2020))
    for actor in CAST:
        if actor.slug in (cast.STUDIO, cast.BLOCKED, *cast.NEIGHBOURS):
            top_up(enter(actor, versions[actor.plan]).payers[0], Decimal(20))
    with override_settings(TOLLGATE_DEMO=True, DEMO_NOTES_DIR=tmp_path, DEMO_API_URL=live_server.url):
        write_notes([], issue_gateway_key())
        yield live_server.url


@pytest.mark.parametrize("path", ["/", "/quarantine", "/unmatched"])
def test_pages_of_staff_are_sound(
    open_page: OpenPage, live_server: Any, cookies_of: CookiesOf, ada: User, acme: Tenant, path: str
) -> None:
    check_page(open_page, f"{live_server}{path}", cookies_of(ada, str(live_server)))


@pytest.mark.parametrize("path", ["/", "/usage"])
def test_pages_of_members_are_sound(
    open_page: OpenPage, live_server: Any, cookies_of: CookiesOf, acme: Tenant, path: str
) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "member")
    check_page(open_page, f"{live_server}{path}", cookies_of(user, str(live_server)))


def test_an_event_is_written_off_in_a_dialog(
    open_page: OpenPage, live_server: Any, cookies_of: CookiesOf, ada: User, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/quarantine", cookies=cookies_of(ada, str(live_server)))
    page.get_by_role("link", name="c", exact=True).click()
    page.get_by_role("link", name="Write off").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("never be charged")
    dialog.get_by_role("button", name="Write off").click()
    expect(page.get_by_text("Written off", exact=True).first).to_be_visible()


def test_the_demo_page_is_sound(open_page: OpenPage, stage: str, cookies_of: CookiesOf, ada: User) -> None:
    check_page(open_page, f"{stage}/demo", cookies_of(ada, stage))


@pytest.mark.parametrize("has_script", [True, False])
def test_a_button_shows_before_and_after_with_and_without_script(
    open_page: OpenPage, stage: str, cookies_of: CookiesOf, ada: User, has_script: bool
) -> None:
    page = open_page(f"{stage}/demo", cookies=cookies_of(ada, stage), has_script=has_script)
    page.get_by_role("button", name="Make a podcast").click()
    expect(page.locator("#podcast-outcome")).to_contain_text("charged once, for the podcast")
    expect(page.locator("#podcast-outcome")).to_contain_text("18.80")
    page.get_by_role("link", name="The trace").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
