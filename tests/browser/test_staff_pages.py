"""Customers, charges, grants, traces and events, as staff see them in a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Group
from playwright.sync_api import Page, expect

from accounts.keys import issue_api_key
from accounts.models import BillingEntity, Customer, Organization, PayerAssignment, User, Workspace
from accounts.permissions import STAFF_GROUPS
from accounts.users import add_to_staff, create_user
from billing.authorizations import authorization_request
from billing.charging import Charged, Mode, charge_many
from billing.erasures import request_erasure, run_erasures
from billing.limits.verbs import create_limit, owner_of
from billing.models import Authorization, CreditGrant
from billing.seals import seal_due
from billing.wallets import grant_credit, top_up
from core import clock
from core.ids import hot_id
from tests.api_client import Api
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version
from tests.browser.checks import PHONE, check_page, wait_until, watching

pytestmark = pytest.mark.django_db(transaction=True)
OpenPage = Callable[..., Page]
Cookies = list[dict[str, str]]
GRADUATED = {
    "key": "tok",
    "meter": "tokens",
    "model": "graduated",
    "included": "100",
    "tiers": [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.000005"}],
    "discount_percent": "10",
}
COST = [{"vendor": "openai", "amount": "0.5", "currency": "USD"}]


@pytest.fixture
def cookies(live_server: Any, cookies_of: Callable[[User, str], Cookies]) -> Cookies:
    """Somebody of finance; the groups are made anew, since tests with real commits empty all tables."""
    for name in STAFF_GROUPS:
        Group.objects.get_or_create(name=name)
    return cookies_of(add_to_staff(create_user(email="fin@operator.example"), "finance"), str(live_server))


@pytest.fixture
def acme() -> Tenant:
    """A customer with a name to stumble over, a tree, two currencies, a trace, denials and overspend."""
    make_meter()
    tenant = make_tenant(make_version([GRADUATED]), balance="12", overdraft=Decimal(0))
    Customer.objects.filter(pk=tenant.customer.pk).update(
        name='<b onclick="x">Acme</b> of the very long name'
    )
    own: dict[str, Any] = {"customer": tenant.customer, "created_at": START}
    holding = Organization.objects.create(name="Holding", **own)
    Organization.objects.create(name="Division", parent=holding, **own)
    yen = BillingEntity.objects.create(name="KK", currency="JPY", time_zone="Asia/Tokyo", **own)
    space = Workspace.objects.create(name="Tokyo", organization=holding, **own)
    PayerAssignment.objects.create(workspace=space, billing_entity=yen, **own)
    issue_api_key(workspace=tenant.workspace, name="backend", user="ada")
    grant_credit(tenant.payer, Decimal(1), name="Welcome", priority=1)
    charge(tenant, "a", properties={"tokens": 900}, costs=COST, user="ada@acme.example", trace="job/1")
    charge(tenant, "b", properties={"tokens": 400}, trace="job/1")
    charge(tenant, "c", properties={"tokens": 10**12})
    charge(tenant, "d", Mode.REPORT, properties={"tokens": 10**7, "word": "w" * 300}, user="u" * 120)
    charge(tenant, "e", Mode.REPORT, event="misspelt")
    return tenant


def address(tenant: Tenant, path: str) -> str:
    """The path with the ids of the world in it."""
    names = {
        "customer": tenant.customer.public_id,
        "payer": tenant.payer.public_id,
        "grant": CreditGrant.objects.get(name="Welcome").public_id,
    }
    return path.format(**names)


@pytest.mark.parametrize(
    "path",
    [
        "/customers",
        "/customers/{customer}",
        "/customers/{customer}/charges",
        "/customers/{customer}/payers",
        "/customers/{customer}/payers/{payer}/top-up",
        "/customers/{customer}/workspaces",
        "/customers/{customer}/keys",
        "/customers/{customer}/grants",
        "/customers/{customer}/grants/{grant}",
        "/customers/{customer}/denials",
        "/customers/{customer}/audit",
        "/charges",
        "/events",
        "/events?live=1&show=event_trace&show=payer_name&show=public_id",
        "/traces/{customer}/job/1",
    ],
)
def test_a_page_is_sound_in_light_and_dark_on_desktop_and_phone(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant, path: str
) -> None:
    check_page(open_page, f"{live_server}{address(acme, path)}", cookies)


def test_a_charge_and_its_event_are_sound(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    outcome = charge(acme, "z", Mode.REPORT, properties={"tokens": 5}, costs=COST)
    assert isinstance(outcome, Charged)
    for noun, prefix in (("charges", "ch"), ("events", "evt")):
        check_page(
            open_page, f"{live_server}/{noun}/{hot_id(prefix, outcome.customer_id, outcome.id)}", cookies
        )


def test_holds_are_sound_open_and_captured(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    key = {"workspace": acme.workspace.external_id, "idempotency_key": "k" * 120}
    create_limit(owner_of(workspace=acme.workspace), Decimal(50), kind="soft")
    top_up(acme.payer, Decimal(2000))
    usage = {"event": "completion", "properties": {"tokens": 500, "word": "w" * 300}}
    charge_many([authorization_request(key | usage, clock.now())])
    open_hold = Authorization.objects.get().public_id
    for address in ("/holds", f"/holds/{open_hold}"):
        check_page(open_page, f"{live_server}{address}", cookies)
    Api().post(f"/v1/authorizations/{open_hold}/capture", {"properties": {"tokens": 400}})
    check_page(open_page, f"{live_server}/holds/{open_hold}", cookies)


def test_seals_and_erasures_are_sound(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    charge(acme, "sealed", Mode.REPORT, properties={"tokens": 5, "ip": "::1"}, user="ada")
    seal_due(START)
    whose: dict[str, Any] = {"customer": acme.customer, "properties": ["ip", "tokens"]}
    request_erasure(**whose, user="ada", reason="Her wish")
    run_erasures(START)
    request_erasure(**whose, user="bob", reason="His wish")
    for path in ("/seals", "/erasures"):
        check_page(open_page, f"{live_server}{path}", cookies)


def test_an_installation_without_anything_is_sound(
    open_page: OpenPage, live_server: Any, cookies: Cookies
) -> None:
    for path in ("/customers", "/events", "/charges"):
        check_page(open_page, f"{live_server}{path}", cookies)


def test_filters_change_rows_and_totals_and_stay_in_the_address(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    make_tenant(name="Other payer", status="suspended")
    page = open_page(f"{live_server}/customers", cookies=cookies)
    expect(page.locator("#customers-table tbody tr")).to_have_count(2)
    with watching(page, str(live_server)) as found:
        page.get_by_role("combobox", name="Status").select_option("suspended")
        expect(page).to_have_url(f"{live_server}/customers?status=suspended")
        expect(page.locator("#customers-table tbody tr")).to_have_count(1)
        expect(page.locator("#customers-totals")).to_contain_text("USD 0.00")
        page.get_by_role("combobox", name="Period").select_option("custom")
        expect(page).to_have_url(re.compile("period=custom"))
        expect(page.locator("#id_start")).to_be_visible()
        page.locator("#id_start").fill("2026-01-02")
        expect(page).to_have_url(re.compile("period=custom.*start=2026-01-02"))
        page.get_by_role("combobox", name="Period").select_option("last_month")
        expect(page.locator("#id_start")).to_be_hidden()
        expect(page).to_have_url(f"{live_server}/customers?period=last_month&status=suspended")
    assert not found
    page.reload()
    expect(page.get_by_role("combobox", name="Status")).to_have_value("suspended")


def test_customers_are_filtered_without_script(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/customers", cookies=cookies, has_script=False)
    page.get_by_role("combobox", name="Currency").select_option("JPY")
    page.get_by_role("button", name="Apply").click()
    expect(page).to_have_url(re.compile("currency=JPY"))
    expect(page.get_by_role("link", name="Acme")).to_be_visible()


def test_a_new_charge_and_the_balance_appear_without_a_reload_unless_paused(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/customers/{acme.customer.public_id}", cookies=cookies)
    page.evaluate("globalThis.isSamePage = true")
    rows = page.locator("#latest tbody tr")
    expect(rows).to_have_count(3)
    charge(acme, "new", Mode.REPORT, properties={"tokens": 200})
    expect(rows).to_have_count(4, timeout=9_000)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#announcer")).to_have_text("Paused")
    charge(acme, "newer", Mode.REPORT, properties={"tokens": 200})
    page.wait_for_timeout(4_000)
    expect(rows).to_have_count(4)
    page.get_by_role("button", name="Pause").click()
    expect(rows).to_have_count(5, timeout=9_000)
    expect(page.locator("#announcer")).to_contain_text("new row", timeout=15_000)
    assert page.evaluate("globalThis.isSamePage")


def test_a_live_page_rests_while_its_tab_is_hidden(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/customers/{acme.customer.public_id}", cookies=cookies)
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.wait_for_timeout(4_000)
    assert not [url for url in requests if "/static/" not in url], "chromium fetches icons when it likes to"


def test_another_period_draws_the_charts_anew(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/customers/{acme.customer.public_id}", cookies=cookies)
    wait_until(page, "globalThis.Chart !== undefined && Object.keys(Chart.instances).length === 4")
    page.evaluate("globalThis.old = document.querySelector('#revenue canvas')")
    page.get_by_role("combobox", name="Period").select_option("last_30_days")
    expect(page).to_have_url(re.compile("period=last_30_days"))
    wait_until(page, "!globalThis.old.isConnected && Object.keys(Chart.instances).length === 4")
    expect(page.locator("#announcer")).to_contain_text("Figures from")
    page.locator("#margin").get_by_text("Figures as a table").click()
    expect(page.locator("#margin").get_by_role("row")).to_have_count(31)


def test_a_charge_leads_to_its_grant_and_back(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/customers/{acme.customer.public_id}/charges", cookies=cookies)
    page.locator("tbody tr").last.locator("a.row-link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("USD 7.20 for completion")
    page.get_by_role("link", name="Rate it again from what is stored").click()
    expect(page.locator("#proof")).to_contain_text("Proved.")
    expect(page.locator("#announcer")).to_have_text("Proved")
    page.get_by_role("link", name="Welcome").click()
    expect(page.get_by_role("heading", name="Welcome")).to_be_visible()
    page.get_by_role("link", name=re.compile("^ch_")).first.click()
    expect(page.get_by_role("heading", name="Who paid")).to_be_visible()


def test_the_tail_of_events_shows_what_comes(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/events", cookies=cookies)
    expect(page.locator("tbody tr")).to_have_count(4)
    page.get_by_role("link", name="Live").click()
    charge(acme, "new", Mode.REPORT, properties={"tokens": 200})
    expect(page.locator("tbody tr")).to_have_count(5, timeout=9_000)
    expect(page).to_have_url(f"{live_server}/events?live=1")


def test_rare_filters_stand_behind_a_button(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/events", cookies=cookies, size=PHONE)
    expect(page.get_by_role("textbox", name="Trace")).to_be_hidden()
    page.get_by_text("More filters").click()
    page.get_by_role("textbox", name="Trace").fill("job/1")
    page.get_by_role("textbox", name="Trace").press("Enter")
    expect(page).to_have_url(re.compile("trace=job%2F1"))
    expect(page.locator("tbody tr")).to_have_count(2)


def test_a_wallet_is_topped_up_after_a_question(
    open_page: OpenPage, live_server: Any, cookies: Cookies, acme: Tenant
) -> None:
    page = open_page(f"{live_server}/customers/{acme.customer.public_id}/payers", cookies=cookies)
    page.get_by_role("link", name="Top up").first.click()
    page.get_by_label("Amount").fill("12.5")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("main")).to_contain_text("Nobody's card is charged by this.")
    page.get_by_role("button", name="Top up").click()
    expect(page.locator(".toast")).to_contain_text("Top up: USD 12.5 for")
