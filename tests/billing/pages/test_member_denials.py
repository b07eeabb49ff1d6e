"""A customer's own refused calls: why, at which level, over a window, and what to do about each."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from accounts.models import BillingEntity
from accounts.payers import create_billing_entity
from accounts.scoping import OPERATOR, Viewer
from accounts.users import add_member, create_user
from billing.charging import Denied
from billing.limits.verbs import change_limit, create_limit, end_limit, owner_of
from billing.models import Denial
from billing.reports.refusals import own_denial_groups
from billing.reports.standing_limits import limits_behind
from billing.wallets import top_up
from metering.models import Meter
from pricing.models import PlanVersion
from tests.billing.pages.conftest import NOW, now_is, signed
from tests.billing.pages.reading import page, read, rows, words
from tests.billing.pages.refused import deny_at_every_level
from tests.billing.world import Tenant, charge, make_tenant, make_version

pytestmark = pytest.mark.django_db
D = Decimal
OWN = "/refused-calls"
PER_TOKEN = [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}]


def member_of(*tenants: Tenant, role: str = "owner") -> Client:
    """Somebody of these customers."""
    user = create_user(email=f"{role}@acme.example")
    for tenant in tenants:
        add_member(user, tenant.customer, role)
    return signed(user)


@pytest.fixture
def owner(acme: Tenant) -> Client:
    """An owner of Acme, which has USD 20 and no overdraft."""
    return member_of(acme)


def refuse(tenant: Tenant, key: str, tokens: int) -> None:
    """A call that is refused."""
    assert isinstance(charge(tenant, key, properties={"tokens": tokens}), Denied)


def deny(tenant: Tenant, key: str = "k", at: datetime = NOW, **fields: Any) -> Denial:
    """A refusal as the charge path keeps it, with these fields."""
    call = {"event": "completion", "idempotency_key": key, "occurred_at": at, "denied_at": at}
    whose: dict[str, Any] = {
        "customer_id": tenant.customer.pk,
        "billing_entity_id": tenant.payer.pk,
        "workspace_id": tenant.workspace.pk,
    }
    said = {"level": "billing_entity", "level_id": tenant.payer.public_id, "expected_amount": 3}
    return Denial.objects.create(**(whose | call | said | {"available": 2} | fields))


def remedies(client: Client, query: str = "") -> list[str]:
    """What the page says is to be done, call by call."""
    return [row["remedy"] for row in rows(client, f"{OWN}?export=csv{query}")]


def test_each_call_is_listed_with_reason_and_level_the_latest_first(owner: Client, acme: Tenant) -> None:
    refuse(acme, "a", 5000)
    create_limit(owner_of(workspace=acme.workspace), D(1))
    now_is(NOW + timedelta(minutes=1))
    refuse(acme, "b", 300)
    text = read(owner, OWN)
    assert "2 calls, worth USD 31.50" in text
    assert "Insufficient funds Payer 1 USD 29.50 Top up, or ask your supplier for more credit." in text
    assert "Spend limit Workspace 1 USD 2.00 Raise it if it is yours" in text
    assert (
        f"completion 15 Jan 2026, 07:01:00 EST Spend limit Workspace {acme.workspace.name} USD 2.00" in text
    )
    found = rows(owner, f"{OWN}?export=csv")
    assert [row["denial_idempotency_key"] for row in found] == ["b", "a"]
    assert [(row["reason"], row["level"]) for row in found] == [
        ("spend_limit", "workspace"),
        ("insufficient_funds", "billing_entity"),
    ]
    assert found[1]["denial_available"] == "20"


def test_it_is_narrowed_by_reason_level_and_window(owner: Client, acme: Tenant) -> None:
    deny_at_every_level(acme)
    (row,) = rows(owner, f"{OWN}?reason=spend_limit&level=workspace&export=csv")
    assert row["denial_idempotency_key"] == "workspace"
    markup = page(owner, f"{OWN}?period=month&reason=entitlement")
    assert '<input type="hidden" name="period" value="month">' in markup
    assert f"{OWN}?" not in markup.split("<main", 1)[1]  # its links keep to the page that one is on
    now_is(NOW + timedelta(days=2))
    assert "No call was refused" in read(owner, f"{OWN}?period=day")
    assert "7 calls, worth" in read(owner, f"{OWN}?period=week")


def test_levels_are_named_and_lead_nowhere_that_a_customer_may_not_look(owner: Client, acme: Tenant) -> None:
    ids = deny_at_every_level(acme)
    markup = page(owner, OWN)
    text = words(markup)
    for said in (f"Payer {acme.payer.name}", f"Workspace {acme.workspace.name}", "API key ci of"):
        assert said in text
    assert "Organization Research" in text
    assert "Entitlement tokens_a_month" in text
    assert ids["organization"] not in text
    assert "/customers/" not in markup
    assert "USD 5.50 USD 4.00 taken" in text
    assert "5.5 4 taken" in text


@pytest.mark.parametrize("role", ["owner", "billing", "member"])
def test_every_role_sees_its_customers_refusals(acme: Tenant, role: str) -> None:
    refuse(acme, "a", 5000)
    assert "1 call, worth USD 29.50" in read(member_of(acme, role=role), OWN)


def test_another_customers_refusals_are_never_shown(acme: Tenant, version: PlanVersion) -> None:
    other = make_tenant(version, balance="1", overdraft=D(0))
    deny_at_every_level(other)
    refuse(acme, "mine", 5000)
    client = member_of(acme)
    page(client, f"{OWN}?customer={other.customer.public_id}", 404)
    page(client, f"{OWN}?customer={other.customer.public_id}&export=csv", 404)
    page(client, f"{OWN}?customer=cus_zzzzzzzz", 404)
    create_billing_entity(customer=acme.customer, name="Second", currency="USD")
    for query in ("", f"&payer={other.payer.public_id}", f"&payer={acme.payer.public_id}", "&customer="):
        (row,) = rows(client, f"{OWN}?export=csv{query}")
        assert row["denial_idempotency_key"] == "mine"
    assert own_denial_groups(Viewer(), acme.customer.pk, {acme.payer.pk: acme.payer}, NOW) == []
    assert other.payer.name not in read(client, OWN)


def test_who_sees_one_payer_is_told_nothing_of_another(acme: Tenant) -> None:
    second = create_billing_entity(customer=acme.customer, name="Second", currency="USD")
    deny(acme, billing_entity_id=second.pk, reason="suspended", level_id=second.public_id)
    deny(acme, reason="suspended")
    (group,) = own_denial_groups(OPERATOR, acme.customer.pk, {acme.payer.pk: acme.payer}, NOW)
    assert group.number == 1
    space = Viewer(customer_ids=frozenset({acme.customer.pk}), workspace_id=acme.workspace.pk + 1)
    assert own_denial_groups(space, acme.customer.pk, {acme.payer.pk: acme.payer}, NOW) == []


def test_a_member_of_two_customers_chooses_between_them(acme: Tenant, version: PlanVersion) -> None:
    other = make_tenant(version, balance="1", overdraft=D(0))
    deny(acme, "first", reason="suspended")
    deny(other, "second", reason="suspended")
    client = member_of(acme, other)
    for tenant, key in ((acme, "first"), (other, "second")):
        asked = f"customer={tenant.customer.public_id}"
        (row,) = rows(client, f"{OWN}?{asked}&export=csv")
        assert row["denial_idempotency_key"] == key
        markup = page(client, f"{OWN}?{asked}")
        assert f"?reason=suspended&amp;level=billing_entity&amp;period=week&amp;{asked}" in markup
        assert markup.count(f'<input type="hidden" name="customer" value="{tenant.customer.public_id}">') == 2


def test_strangers_sign_in_staff_go_home_and_who_has_no_customer_is_told(
    staff: Client, client: Client, acme: Tenant
) -> None:
    assert "/accounts/login" in client.get(OWN)["Location"]
    assert staff.get(OWN)["Location"] == "/"
    assert "not a member of a customer" in read(signed(create_user(email="no@where.example")), OWN)


def test_a_margin_floor_is_the_operators_own_business(owner: Client, acme: Tenant) -> None:
    assert acme.subscription is not None
    floor: dict[str, Any] = {"reason": "margin_floor", "resets_at": NOW + timedelta(days=9)}
    deny(acme, "of the plan", level="subscription", level_id=acme.subscription.public_id, **floor)
    deny(acme, "of the payer", **floor)
    markup = page(owner, OWN)
    assert "argin" not in markup
    assert "floor" not in markup
    assert "Declined by your supplier Payer 2 USD 6.00 Ask your supplier." in words(markup)
    assert words(markup).count(f"Declined by your supplier Payer {acme.payer.name} USD 3.00") == 2
    assert acme.subscription.public_id not in markup
    found = rows(owner, f"{OWN}?reason=declined&export=csv")
    assert {(row["reason"], row["level"], row["remedy"]) for row in found} == {
        ("declined", "billing_entity", "Ask your supplier.")
    }
    assert len(found) == 2
    assert "argin" not in str(found)
    assert rows(owner, f"{OWN}?reason=suspended&export=csv") == []
    assert (
        len(rows(owner, f"{OWN}?reason=margin_floor&export=csv")) == 2
    )  # no such choice: it narrows nothing
    now_is(NOW + timedelta(days=9))
    assert remedies(owner, "&period=month")[0].startswith("What refused it is over")


def test_a_limit_of_ones_own_is_raised_and_the_operators_is_asked_for(owner: Client, acme: Tenant) -> None:
    own = create_limit(owner_of(workspace=acme.workspace), D(1), set_by="customer", window="day")
    refuse(acme, "a", 300)
    assert remedies(owner)[0].startswith("Raise your own limit. This call alone is more")
    link = f'<a href="/limits/{own.public_id}?customer={acme.customer.public_id}">Raise it</a>'
    assert link in page(owner, OWN)
    create_limit(owner_of(workspace=acme.workspace), D(1), window="day")
    assert remedies(owner)[0].startswith("Ask your supplier to raise its limit.")
    asked = f"/limits?customer={acme.customer.public_id}&amp;level=workspace"
    assert f'<a href="{asked}">See the limit</a>' in page(owner, OWN)


def test_who_may_not_set_limits_is_told_who_may(acme: Tenant) -> None:
    create_limit(owner_of(billing_entity=acme.payer), D(3), set_by="customer")
    charge(acme, "a", properties={"tokens": 300})
    refuse(acme, "b", 200)
    client = member_of(acme, role="member")
    said = "Ask an owner or somebody of billing to raise your limit. Or wait for its reset."
    assert remedies(client) == [said]
    text = read(client, OWN)
    assert f"{said} See the limit · resets 1 Feb 2026, 00:00 EST" in text
    now_is(datetime.fromisoformat("2026-02-01T05:00:00Z"))
    assert remedies(client, "&period=month")[0].startswith("What refused it is over")


def test_a_limit_that_was_raised_or_ended_since_refuses_no_more(owner: Client, acme: Tenant) -> None:
    own = create_limit(owner_of(billing_entity=acme.payer), D(1), set_by="customer")
    refuse(acme, "a", 300)
    change_limit(own, amount=D(50))
    assert remedies(owner) == ["That limit was changed or ended since: the same call may go through now."]
    change_limit(own, amount=D(1))
    assert remedies(owner)[0].startswith("Raise your own limit.")
    end_limit(own)
    assert remedies(owner)[0].startswith("That limit was changed or ended")


def test_a_meters_limit_is_that_of_one_payer(owner: Client, acme: Tenant) -> None:
    meter = Meter.objects.get(key="tokens")
    own = create_limit(owner_of(billing_entity=acme.payer, meter=meter), D(1), set_by="customer")
    refuse(acme, "a", 300)
    (denial,) = Denial.objects.all()
    assert limits_behind(OPERATOR, [denial]) == {denial.pk: [own]}
    denial.billing_entity_id = make_tenant(None).payer.pk
    assert limits_behind(OPERATOR, [denial]) == {denial.pk: []}
    denial.level_id = "nonsense"
    assert limits_behind(OPERATOR, [denial]) == {}
    assert "Meter tokens" in read(owner, OWN)


def test_a_wallet_is_topped_up_where_the_operator_says(owner: Client, acme: Tenant, settings: Any) -> None:
    settings.TOP_UP_URL = ""
    refuse(acme, "a", 5000)
    assert remedies(owner) == ["Ask your supplier to top you up."]
    settings.TOP_UP_URL = "https://pay.example/{billing_entity}"
    assert remedies(owner) == [f"Top up {acme.payer.name}."]
    assert f'<a href="https://pay.example/{acme.payer.public_id}">Top up</a>' in page(owner, OWN)
    assert remedies(member_of(acme, role="member")) == [
        f"Ask an owner or somebody of billing to top up {acme.payer.name}."
    ]
    top_up(acme.payer, D(100))
    assert remedies(owner) == ["The balance covers it by now: the same call may go through."]


def test_nothing_that_comes_later_helps_a_call_that_is_dated_back(owner: Client, acme: Tenant) -> None:
    dated: dict[str, Any] = {"retryable": False, "occurred_at": NOW - timedelta(days=20)}
    over = dated | {"resets_at": NOW - timedelta(days=14), "limit": 5, "used": 4}
    create_limit(owner_of(workspace=acme.workspace), D(5))
    place: dict[str, Any] = {"level": "workspace", "level_id": acme.workspace.public_id}
    deny(acme, "quota", reason="entitlement", level="entitlement", level_id="tokens_a_month", **over)
    deny(acme, "limit", reason="spend_limit", **place, **over)
    deny(acme, "wallet", reason="insufficient_funds", **dated)
    wallet, limit, quota = remedies(owner)
    assert wallet == "Later credit cannot pay for what happened before it: ask your supplier."
    assert limit.endswith("The call is dated into a window that is over: no reset helps it.")
    assert quota == "It is dated into a reset that is over: ask your supplier for more."


def test_who_is_invoiced_pays_or_asks_for_credit(version: PlanVersion) -> None:
    tenant = make_tenant(version, settlement="invoice_only", credit_limit=D(1))
    refuse(tenant, "a", 3000)
    assert remedies(member_of(tenant)) == [
        "Pay what you owe, or ask your supplier for a larger credit limit."
    ]


def test_a_quota_comes_back_and_a_feature_does_not(version: PlanVersion) -> None:
    quota = {"feature": "few", "type": "metered", "meter": "tokens", "limit": "10", "reset": "month"}
    tenant = make_tenant(make_version(PER_TOKEN, entitlements=[quota]), balance="50")
    refuse(tenant, "whole", 11)
    charge(tenant, "used", properties={"tokens": 8})
    refuse(tenant, "rest", 3)
    deny(tenant, "feature", reason="entitlement", level="entitlement", level_id="sso", retryable=False)
    client = member_of(tenant)
    assert {row["denial_idempotency_key"]: row["remedy"] for row in rows(client, f"{OWN}?export=csv")} == {
        "feature": "Your plan does not have it: ask your supplier.",
        "rest": "Wait for the reset, or ask your supplier for more.",
        "whole": "Ask for less in one call, or your supplier for more.",
    }
    asked = f"/limits?customer={tenant.customer.public_id}#entitlements"
    assert page(client, OWN).count(f'<a href="{asked}">What is left</a>') == 3
    now_is(NOW + timedelta(days=20))
    assert remedies(client, "&period=month")[1].startswith("What refused it is over")


def test_a_ceiling_ends_with_the_new_price_and_a_capture_needs_more_held(owner: Client, acme: Tenant) -> None:
    assert acme.subscription is not None
    whose: dict[str, Any] = {"level": "subscription", "level_id": acme.subscription.public_id}
    deny(acme, "ceiling", reason="entitlement", limit=100, used=100, **whose)
    deny(acme, "capture", reason="insufficient_funds", level="authorization", level_id="auth_1", limit=2)
    text = read(owner, OWN)
    assert "Entitlement Subscription 1 USD 3.00 Accept the new price" in text
    assert "Insufficient funds Hold auth_1 USD 3.00 USD 2.00 USD 2.00 It cost more than was held" in text
    assert f'href="/price-change?customer={acme.customer.public_id}">See the new price' in page(owner, OWN)


def test_states_of_a_payer_are_the_suppliers(owner: Client, acme: Tenant) -> None:
    deny(acme, "a", reason="no_subscription", retryable=False)
    deny(acme, "b", reason="suspended")
    assert remedies(owner)[0].startswith("What refused it is over")
    BillingEntity.objects.filter(pk=acme.payer.pk).update(status="suspended")
    assert remedies(owner) == [
        f"Ask your supplier to lift the suspension of {acme.payer.name}.",
        f"Ask your supplier for a plan: {acme.payer.name} had none then.",
    ]


def test_pages_follow_each_other(owner: Client, acme: Tenant) -> None:
    for number in range(60):
        deny(acme, f"k{number}", reason="suspended", at=NOW - timedelta(seconds=number // 2))
    address = OWN
    for size in (25, 25, 10):
        markup = page(owner, address)
        assert markup.count('data-label="Event"') == size
        after = markup.split('id="refused-older" href="')
        address = OWN + after[1].split('"')[0].replace("&amp;", "&") if len(after) > 1 else ""
    assert address == ""
    assert len(rows(owner, f"{OWN}?export=csv")) == 60


def test_the_overview_says_that_calls_were_refused_today(owner: Client, acme: Tenant) -> None:
    assert "Refused in the last 24 hours" not in read(owner, "/")
    refuse(acme, "a", 5000)
    assert "Refused in the last 24 hours: 1 Why, and what to do" in read(owner, "/")
    assert f'href="{OWN}?period=day&amp;customer={acme.customer.public_id}"' in page(owner, "/")
    now_is(NOW + timedelta(days=1, seconds=1))
    assert "Refused in the last 24 hours" not in read(owner, "/")


@pytest.mark.parametrize("name", ["period", "reason", "level", "payer", "after", "before", "show", "sort"])
def test_no_query_breaks_the_page(owner: Client, acme: Tenant, name: str) -> None:
    deny_at_every_level(acme)
    for value in ("", "x", "\x00", "-1", "9" * 400, "be_zzzzzzzz", "WyJ4Il0", "payer_name", "💸"):
        page(owner, f"{OWN}?{name}={quote(value)}")
