"""Denials by reason and level, and overspend by cause, over all customers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.models import BillingEntity, Workspace
from accounts.scoping import OPERATOR
from accounts.users import add_member, create_user
from billing.charging import Denied, Mode
from billing.limits.verbs import create_limit, owner_of
from billing.models import Denial
from billing.reports.refusals import REFUSING, denial_groups, overspend_groups, sum_of
from metering.models import Meter
from pricing.models import PlanVersion
from tests.billing.pages.conftest import NOW, Sign, now_is, signed
from tests.billing.pages.reading import page, read, rows, words
from tests.billing.pages.refused import deny_at_every_level
from tests.billing.world import Tenant, charge, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_TOKEN = [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}]
D = Decimal


def refuse(tenant: Tenant, key: str, tokens: int) -> None:
    """A call that is refused."""
    assert isinstance(charge(tenant, key, properties={"tokens": tokens}), Denied)


@pytest.fixture
def refused(acme: Tenant, version: PlanVersion) -> Tenant:
    """Two customers without funds and one at its limit; the euros come from another plan."""
    refuse(acme, "a", 5000)
    refuse(acme, "b", 6000)
    euro = make_tenant(make_version(PER_TOKEN, currency="EUR"), currency="EUR", overdraft=D(0))
    refuse(euro, "c", 200)
    limited = make_tenant(make_version(PER_TOKEN), balance="50")
    create_limit(owner_of(workspace=limited.workspace), D(1))
    refuse(limited, "d", 300)
    return acme


def test_denials_are_counted_by_reason_and_level(refused: Tenant) -> None:
    first, second = denial_groups(OPERATOR, NOW - timedelta(days=1))
    assert (first.words, first.number, first.payers) == (("insufficient_funds", "billing_entity"), 3, 2)
    assert first.amounts == {"USD": D("29.5") + D("34.5"), "EUR": D(2)}
    assert (second.words, second.number, second.payers) == (("spend_limit", "workspace"), 1, 1)
    assert sum_of([first, second]) == {"EUR": D(2), "USD": D(67)}
    assert denial_groups(OPERATOR, NOW + timedelta(seconds=1)) == []


def test_the_page_shows_the_sums_and_each_call(staff: Client, refused: Tenant) -> None:
    text = read(staff, "/denials")
    assert "4 calls, worth EUR 2.00, USD 67.00" in text
    assert "Insufficient funds Payer 3 2 EUR 2.00 USD 64.00" in text
    assert "Spend limit Workspace 1 1 USD 3.00" in text
    assert f"{refused.customer.name} {refused.payer.name} completion" in text
    found = rows(staff, "/denials?export=csv")
    assert [row["denial_idempotency_key"] for row in found] == ["d", "c", "b", "a"]
    assert (found[0]["level"], found[0]["denial_limit"], found[0]["denial_used"]) == ("workspace", "1", "0")
    assert found[0]["denial_resets_at"] == "2026-02-01T00:00:00Z"


def test_it_is_narrowed_by_reason_and_level_within_its_period(staff: Client, refused: Tenant) -> None:
    (row,) = rows(staff, "/denials?reason=spend_limit&level=workspace&period=day&export=csv")
    assert row["denial_idempotency_key"] == "d"
    assert rows(staff, "/denials?reason=margin_floor&export=csv") == []
    markup = page(staff, "/denials?period=month&reason=spend_limit")
    assert '<input type="hidden" name="period" value="month">' in markup
    now_is(NOW + timedelta(days=2))
    assert "No call was refused" in read(staff, "/denials?period=day")
    assert "4 calls, worth" in read(staff, "/denials?period=week")


def test_a_feature_is_a_level_too_in_words_and_to_look_for(staff: Client, refused: Tenant) -> None:
    quota = {"feature": "few", "type": "metered", "meter": "tokens", "limit": "1", "reset": "month"}
    refuse(make_tenant(make_version(PER_TOKEN, entitlements=[quota]), balance="50"), "e", 300)
    assert "Entitlement Entitlement 1 1 USD 3.00" in read(staff, "/denials")
    (row,) = rows(staff, "/denials?level=entitlement&export=csv")
    assert row["denial_idempotency_key"] == "e"
    assert rows(staff, "/denials?level=authorization&export=csv") == []


NAMED: dict[str, tuple[str, str]] = {
    "billing_entity": ("Payer Acme Inc.", "/customers/{customer}/payers#{id}"),
    "workspace": ("Workspace Production", "/customers/{customer}/workspaces"),
    "api_key": ("API key ci of Production", "/customers/{customer}/keys"),
    "organization": ("Organization Research", "/customers/{customer}/workspaces"),
    "meter": ("Meter LLM tokens", "/customers/{customer}/limits?level=meter"),
    "subscription": ("Subscription Plan v1", "/plan-versions/{version}"),
    "entitlement": ("Entitlement tokens_a_month", "/customers/{customer}/limits#entitlements"),
}
"""How each level is named, and where its name leads."""


@pytest.mark.parametrize("address", ["/denials?", "/customers/{customer}/denials?d-"])
def test_each_level_is_named_as_people_call_it_and_leads_to_whose_it_is(
    staff: Client, acme: Tenant, address: str
) -> None:
    BillingEntity.objects.filter(pk=acme.payer.pk).update(name="Acme Inc.")
    Workspace.objects.filter(pk=acme.workspace.pk).update(name="Production")
    acme.workspace.refresh_from_db()
    Meter.objects.update(name="LLM tokens")
    ids = deny_at_every_level(acme)
    version = acme.subscription.version.public_id if acme.subscription else ""
    customer = acme.customer.public_id
    markup = page(staff, address.format(customer=customer))
    for level, (said, url) in NAMED.items():
        assert said in words(markup)
        target = url.format(customer=customer, id=ids[level], version=version)
        name = said.removeprefix(f"{REFUSING[level]} ")
        assert f'<a href="{target}">{name}</a>' in markup
        assert level == "entitlement" or ids[level] not in words(markup)


def test_what_a_level_allows_is_money_of_a_limit_and_a_quantity_of_a_quota(
    staff: Client, acme: Tenant
) -> None:
    deny_at_every_level(acme)
    assert "USD 3.00 USD 5.50 USD 4.00 taken USD 9.00" in read(staff, "/denials?level=meter")
    assert "USD 3.00 5.5 4 taken USD 9.00" in read(staff, "/denials?level=entitlement")
    Denial.objects.update(limit=None, used=None)
    assert "taken" not in read(staff, "/denials")


def test_a_level_that_is_gone_or_of_no_row_keeps_its_id(staff: Client, acme: Tenant) -> None:
    deny_at_every_level(acme)
    Denial.objects.filter(level="meter").update(level_id="mtr_zzzzzzzz")
    Denial.objects.filter(level="organization").update(level_id="nonsense")
    Denial.objects.filter(level="entitlement").update(level="authorization", level_id="auth_1")
    text = read(staff, "/denials")
    for said in ("Meter mtr_zzzzzzzz", "Organization nonsense", "Hold auth_1"):
        assert said in text


def test_overspend_is_summed_by_cause(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", Mode.REPORT, properties={"tokens": 4000})  # 10 + 0.005 * 2900 = 24.50 of 20
    charge(acme, "b", Mode.REPORT, properties={"tokens": 100})  # 0.50, all of it below
    (group,) = overspend_groups(OPERATOR, NOW - timedelta(days=1))
    assert (group.words, group.number, group.payers, group.amounts) == (
        *(("reported",), 2, 1),
        {"USD": D(5)},
    )
    text = read(staff, "/overspend")
    assert "2 charges, USD 5.00 below the floor" in text
    assert "Reported reported after it had happened 2 1 USD 5.00" in text
    found = rows(staff, "/overspend?cause=reported&export=csv")
    assert [row["overspend_amount"] for row in found] == ["0.5", "4.5"]
    assert rows(staff, "/overspend?cause=lease&export=csv") == []


def test_nothing_below_the_floor_is_said(staff: Client, acme: Tenant) -> None:
    assert "Nothing below the floor" in read(staff, "/overspend")
    assert "No call was refused" in read(staff, "/denials")


def test_every_group_of_staff_may_look_and_no_member(sign_in: Sign, refused: Tenant) -> None:
    for group in ("admin", "finance", "ops", "read_only"):
        assert "4 calls" in read(sign_in(group), "/denials")
    user = create_user(email="mo@acme.example")
    add_member(user, refused.customer, "owner")
    for address in ("/denials", "/overspend"):
        page(signed(user), address, 404)
