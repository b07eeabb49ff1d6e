"""Plans, the editor, price changes, simulations and a customer's price to come, as a browser shows them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from accounts.models import User
from accounts.permissions import STAFF_GROUPS
from accounts.users import add_member, add_to_staff, create_user
from billing.charging import Mode
from billing.rollouts import announce_rollout, draft_rollout
from billing.simulations import request_simulation, run_simulations
from core import clock
from pricing.models import PlanVersion, Rollout
from pricing.plans import apply_plan, publish_version
from tests.billing.pages.refused import deny_at_every_level
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version
from tests.browser.checks import PHONE, check_page, watching

pytestmark = pytest.mark.django_db(transaction=True)
OpenPage = Callable[..., Page]
Cookies = list[dict[str, str]]
COST = [{"vendor": "openai", "amount": "0.5", "currency": "USD"}]
OLD = {
    "key": "tok",
    "meter": "tokens",
    "model": "graduated",
    "included": "100",
    "tiers": [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.000005"}],
}
NEW = OLD | {"included": "0", "tiers": [{"up_to": None, "unit_price": "0.02", "flat_fee": "3"}]}
PATHS = [
    "/plans",
    "/plans/{plan}",
    "/plans/{plan}/edit",
    "/plan-versions/{new}",
    "/plan-versions/{new}/publish",
    "/plan-versions/compare?old={old}&new={new}",
    "/subscriptions",
    "/price-changes",
    "/price-changes/new",
    "/price-changes/new?version={new}",
    "/price-changes/{draft}",
    "/price-changes/{draft}/announce",
    "/price-changes/{announced}",
    "/price-changes/{announced}/make-whole",
    "/price-changes/{announced}/members/{member}",
    "/price-changes/{announced}/roll-back/ask",
    "/compare-metrics",
    "/denials",
    "/overspend",
    "/holds",
    "/spend-limits",
    "/customers/{customer}/limits",
    "/customers/{customer}/limits/new",
    "/simulations",
    "/simulations/new",
    "/simulations/{simulation}",
    "/customers/{customer}/price-change",
]


@pytest.fixture
def acme() -> Tenant:
    """A customer on the old version, with usage and costs."""
    make_meter()
    tenant = make_tenant(make_version([OLD]), starts_at=START)
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 900}, costs=COST)
    return tenant


@pytest.fixture
def names(acme: Tenant) -> dict[str, str]:
    """The ids of the world: a new version, a planned change, an announced one, a simulation."""
    assert acme.subscription is not None
    old = acme.subscription.version
    new = publish_version(apply_plan(old.content | {"components": [NEW], "minimum_spend": "25"}))
    now = clock.now()
    planned = draft_rollout(new, timing="at_renewal", name="Planned")
    announced = announce_rollout(draft_rollout(new, timing="at_renewal", name="Spring"))
    asked = request_simulation([new], starts_at=now - timedelta(days=5), ends_at=now)
    run_simulations()
    return {
        "plan": old.plan.key,
        "old": old.public_id,
        "new": new.public_id,
        "draft": planned.public_id,
        "announced": announced.public_id,
        "member": announced.members.get().public_id,
        "simulation": asked.public_id,
        "customer": acme.customer.public_id,
    }


@pytest.fixture
def cookies(live_server: Any, cookies_of: Callable[[User, str], Cookies]) -> Cookies:
    """Somebody of finance; the groups are made anew, since tests with real commits empty all tables."""
    for name in STAFF_GROUPS:
        Group.objects.get_or_create(name=name)
    return cookies_of(add_to_staff(create_user(email="fin@operator.example"), "finance"), str(live_server))


@pytest.mark.parametrize("path", PATHS)
def test_a_page_is_sound_in_light_and_dark_on_desktop_and_phone(
    open_page: OpenPage, live_server: Any, cookies: Cookies, names: dict[str, str], path: str
) -> None:
    check_page(open_page, f"{live_server}{path.format(**names)}", cookies)


def test_the_members_page_is_sound(
    open_page: OpenPage,
    live_server: Any,
    cookies_of: Callable[[User, str], Cookies],
    acme: Tenant,
    names: dict[str, str],
) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    check_page(open_page, f"{live_server}/price-change", cookies_of(user, str(live_server)))


def test_what_was_refused_is_sound_for_its_customer(
    open_page: OpenPage, live_server: Any, cookies_of: Callable[[User, str], Cookies], acme: Tenant
) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    cookies = cookies_of(user, str(live_server))
    check_page(open_page, f"{live_server}/refused-calls", cookies)
    deny_at_every_level(acme, clock.now())
    check_page(open_page, f"{live_server}/refused-calls?period=day", cookies)
    check_page(open_page, f"{live_server}/", cookies)


def test_on_a_phone_the_news_of_a_price_has_the_width_of_the_page(
    open_page: OpenPage,
    live_server: Any,
    cookies_of: Callable[[User, str], Cookies],
    acme: Tenant,
    names: dict[str, str],
) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    page = open_page(f"{live_server}/", size=PHONE, cookies=cookies_of(user, str(live_server)))
    news = page.locator(".note p", has_text="Your price is changing").bounding_box()
    assert news is not None
    assert news["width"] > PHONE.width / 2


def test_the_editor_checks_while_one_types_and_leads_to_the_line(
    open_page: OpenPage, live_server: Any, cookies: Cookies, names: dict[str, str]
) -> None:
    page = open_page("about:blank", cookies=cookies)
    with watching(page, str(live_server)) as found:
        page.goto(f"{live_server}/plans/{names['plan']}/edit")
        expect(page.locator("#check")).to_contain_text("Valid.")
        text = page.input_value("#plan-text")
        page.fill("#plan-text", text.replace('unit_price: "0.02"', "unit_price: 0.02"))
        expect(page.locator("#check")).to_contain_text("must be a decimal number in quotes")
        page.click("#check [data-line]")
        marked = page.evaluate(
            "(() => { const field = document.getElementById('plan-text');"
            " return field.value.slice(field.selectionStart, field.selectionEnd); })()"
        )
        assert "unit_price: 0.02" in marked
        page.fill("#plan-text", text.replace('unit_price: "0.02"', 'unit_price: "0.03"'))
        expect(page.locator("#check")).to_contain_text("Valid.")
        page.fill("[name=quantity-tok]", "200")
        page.press("[name=quantity-tok]", "Tab")
        expect(page.locator("#check tfoot")).to_contain_text("25.00")  # 200 x 0.03 + 3, up to the minimum
    assert not found


def test_a_price_change_is_announced_by_typing_in_a_dialog(
    open_page: OpenPage, live_server: Any, cookies: Cookies, names: dict[str, str]
) -> None:
    Rollout.objects.get(name="Spring").members.update(state="excepted")
    page = open_page(f"{live_server}/price-changes/{names['draft']}/announce", cookies=cookies)
    for field in page.query_selector_all("[name=reason]:not([type=hidden])"):
        field.fill("Agreed")
    page.click("main form button.is-primary")
    page.fill("[name=confirm_word]", "announce")
    page.click("form button.is-primary:not([disabled])")
    expect(page.locator("#progress")).to_contain_text("0 of 1 moved")
    assert Rollout.objects.get(name="Planned").status == "announced"


def test_without_script_the_editor_saves_and_the_version_is_published(
    open_page: OpenPage, live_server: Any, cookies: Cookies, names: dict[str, str]
) -> None:
    page = open_page(f"{live_server}/plans/{names['plan']}/edit", cookies=cookies, has_script=False)
    text = page.input_value("#plan-text")
    page.fill("#plan-text", text.replace('unit_price: "0.02"', 'unit_price: "0.04"'))
    page.click("text=Save as draft")
    page.click("a:text-is('Publish')")
    page.fill("[name=confirm_word]", names["plan"])
    page.click("form button.is-primary")
    assert PlanVersion.objects.get(plan__key=names["plan"], number=3).status == "published"
