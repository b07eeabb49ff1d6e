"""Spend limits and their fill: staff's list, a customer's tab, and the customer's own page."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.models import BillingEntity, Organization, PayerAssignment, Workspace
from accounts.users import add_member, create_user
from billing.charging import Charged, Denied, Mode
from billing.limits.verbs import create_limit, end_limit, owner_of
from billing.models import Alert, SpendLimit
from tests.billing.pages.conftest import NOW, Sign, signed
from tests.billing.pages.reading import page, read, rows, words
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
D = Decimal
FORM: dict[str, str] = {
    "amount": "5",
    "currency": "USD",
    "window": "billing_period",
    "kind": "hard",
    "thresholds": "50, 80",
}


def post(client: Client, address: str, data: dict[str, str], status: int = 200) -> str:
    """What the page says that comes of a form."""
    response: Any = client.post(address, data, follow=True)
    assert response.status_code == status, (address, response.status_code)
    return words(response.content.decode())


def member_of(tenant: Tenant, role: str) -> Client:
    user = create_user(email=f"{role}{tenant.customer.pk}@acme.example")
    add_member(user, tenant.customer, role)
    return signed(user)


@pytest.fixture
def limit(acme: Tenant) -> SpendLimit:
    """Staff's: USD 5 a period; 4.00 of it is used (500 tokens at 0.01, of which 100 are included)."""
    made = create_limit(owner_of(billing_entity=acme.payer), D(5))
    assert isinstance(charge(acme, "a", properties={"tokens": 500}), Charged)
    return made


def test_the_list_says_whose_it_is_and_how_full(staff: Client, acme: Tenant, limit: SpendLimit) -> None:
    text = read(staff, "/spend-limits")
    said = f"{acme.payer.name} Payer {acme.customer.name} USD 5.00 each billing period 80% USD 4.00"
    assert f"{said} 1 Feb 2026, 00:00 EST Refuses" in text
    (row,) = rows(staff, "/spend-limits?level=billing_entity&kind=hard&set_by=staff&export=csv")
    assert (row["name"], row["limit_amount"], row["fill_used"], row["filled"]) == (
        *(acme.payer.name, "5"),
        *("4", "0.8"),
    )
    assert rows(staff, "/spend-limits?level=workspace&export=csv") == []


def test_one_in_another_currency_than_is_paid_does_not_say_that_it_refuses(
    staff: Client, acme: Tenant, limit: SpendLimit
) -> None:
    made = create_limit(owner_of(workspace=acme.workspace), D(5), currency="JPY")
    (row,) = rows(staff, "/spend-limits?level=workspace&export=csv")
    assert (row["limit_amount"], row["fill_used"]) == ("5", "0")
    said = f"{acme.workspace.name} Workspace {acme.customer.name} JPY 5 each billing period 0% JPY 0"
    assert f"{said} 1 Feb 2026, 00:00 EST Paid in USD" in read(staff, "/spend-limits")
    create_limit(owner_of(workspace=acme.workspace), D(5), window="day", currency="USD")
    end_limit(made)
    assert "Paid in" not in read(staff, "/spend-limits")


def test_a_full_one_refuses_now_and_its_alerts_are_listed(
    staff: Client, acme: Tenant, limit: SpendLimit
) -> None:
    assert isinstance(charge(acme, "b", properties={"tokens": 100}), Charged)
    assert isinstance(charge(acme, "c", properties={"tokens": 100}), Denied)
    text = read(staff, f"/customers/{acme.customer.public_id}/limits")
    assert "100% USD 5.00" in text
    assert "Refuses now" in text
    assert Alert.objects.count() == 4
    assert f"Spend limit {acme.payer.name} Payer, each billing period 100% USD 5.00 USD 5.00" in text
    found = rows(staff, f"/customers/{acme.customer.public_id}/limits?a-export=csv")
    assert [row["threshold"] for row in found] == ["100", "95", "80", "50"]


def test_an_alert_of_a_balance_names_its_payer(staff: Client, acme: Tenant) -> None:
    BillingEntity.objects.filter(pk=acme.payer.pk).update(low_balance=[D(18)])
    acme.payer.refresh_from_db()
    assert isinstance(charge(acme, "a", properties={"tokens": 500}), Charged)
    for client, address in (
        (staff, f"/customers/{acme.customer.public_id}/limits"),
        (member_of(acme, "member"), "/limits"),
    ):
        text = read(client, address)
        assert f"Low balance {acme.payer.name} Payer USD 18.00 USD 16.00" in text
        assert acme.payer.public_id not in text


def test_one_of_nothing_refuses_now_and_a_soft_one_that_is_reached_says_so(
    staff: Client, acme: Tenant, limit: SpendLimit
) -> None:
    create_limit(owner_of(workspace=acme.workspace), D(0))
    create_limit(
        owner_of(workspace=acme.workspace), D("0.0123"), kind="soft", window="day", set_by="customer"
    )
    text = read(staff, "/spend-limits?level=workspace&show=limit_set_by")
    assert "USD 0.0123 each day 32,520% USD 4.00" in text
    assert "Reached, tells Customer" in text
    assert re.search(r"USD 0\.00 each billing period \S no value USD 4\.00", text)
    assert "Refuses now Operator" in text


def test_ending_one_says_exactly_what_ends(staff: Client, acme: Tenant) -> None:
    made = create_limit(owner_of(workspace=acme.workspace), D("2.5"), window="day")
    text = read(staff, f"/customers/{acme.customer.public_id}/limits/{made.public_id}/end/ask")
    assert f"Whose spend {acme.workspace.name} (Workspace) At most USD 2.50 each day" in text
    assert "other limits stay" in text


ENTITLED: list[dict[str, Any]] = [
    {"feature": "monthly", "type": "metered", "meter": "tokens", "limit": "1000", "reset": "month"},
    {"feature": "sso", "type": "boolean", "value": True},
    {"feature": "vision", "type": "boolean", "value": False},
    {"feature": "longest", "type": "limit", "limit": 900, "meter": "tokens"},
    {"feature": "seats", "type": "limit", "limit": 5},
]


@pytest.mark.parametrize("who", ["staff", "owner"])
def test_entitlements_say_what_is_left_for_the_next_call(staff: Client, who: str) -> None:
    make_meter(unit="tk")
    per_token = [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}]
    tenant = make_tenant(make_version(per_token, entitlements=ENTITLED), balance="50", name="Acme Inc.")
    assert isinstance(charge(tenant, "a", properties={"tokens": 250}), Charged)
    charge(tenant, "b", Mode.HOLD, properties={"tokens": 500})
    client = staff if who == "staff" else member_of(tenant, "member")
    address = "/limits" if who == "owner" else f"/customers/{tenant.customer.public_id}/limits"
    text = read(client, address)
    assert "monthly Acme Inc. 1,000 tk each month 75% 250 500 held 250 1 Feb 2026, 00:00 UTC" in text
    assert "sso Acme Inc. Yes" in text
    assert "vision Acme Inc. No" in text
    assert "longest Acme Inc. At most 900 tk a call" in text
    assert "seats Acme Inc. At most 5" in text
    assert isinstance(charge(tenant, "c", properties={"tokens": 251}), Denied)
    assert isinstance(charge(tenant, "d", properties={"tokens": 250}), Charged)


def test_who_has_no_entitlements_sees_none(staff: Client, acme: Tenant) -> None:
    assert "Entitlements" not in read(staff, f"/customers/{acme.customer.public_id}/limits")


Pick = Callable[[Tenant], tuple[str, str]]


@pytest.mark.parametrize(
    ("pick", "more", "shown"),
    [
        (lambda t: (t.payer.public_id, "billing_entity"), {}, "each billing period"),
        (lambda t: (t.payer.public_id, "meter"), {"meter": "tokens"}, "tokens of Payer"),
        (lambda t: (t.workspace.public_id, "workspace"), {"window": "day"}, "each day"),
        (
            lambda t: (t.workspace.public_id, "workspace"),
            {"window": "rolling", "hours": "6"},
            "any 6 hours",
        ),
    ],
    ids=["payer", "meter", "workspace", "rolling"],
)
def test_staff_set_a_limit_that_the_next_call_obeys(
    staff: Client, acme: Tenant, pick: Pick, more: dict[str, str], shown: str
) -> None:
    owner, level = pick(acme)
    address = f"/customers/{acme.customer.public_id}/limits/new"
    text = post(staff, address, FORM | {"owner": owner} | more)
    assert "The limit holds from the next call on." in text
    assert shown in text
    row = SpendLimit.objects.get()
    assert (row.level, row.amount, row.kind, row.set_by, row.thresholds) == (
        *(level, D(5), "hard"),
        *("staff", [50, 80]),
    )
    outcome = charge(acme, "a", properties={"tokens": 700})
    assert isinstance(outcome, Denied)
    assert outcome.reason == "spend_limit"


def test_an_organization_and_a_key_are_offered(staff: Client, acme: Tenant) -> None:
    sales = Organization.objects.create(customer=acme.customer, name="Sales", created_at=NOW)
    other = make_tenant(None)
    markup = page(staff, f"/customers/{acme.customer.public_id}/limits/new")
    assert f'<option value="{sales.public_id}">Sales</option>' in markup
    assert other.payer.public_id not in markup
    text = post(
        staff,
        f"/customers/{acme.customer.public_id}/limits/new",
        FORM | {"owner": sales.public_id, "kind": "soft"},
    )
    assert "Sales Organization USD 5.00" in text
    assert "Tells" in text


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"amount": "-1"}, "greater than or equal to 0"),
        ({"amount": ""}, "This field is required."),
        ({"window": "rolling"}, "A rolling window needs its hours."),
        ({"hours": "3"}, "Only a rolling window has hours."),
        ({"thresholds": "half"}, "Whole numbers from 1 to 1000, with commas."),
        ({"thresholds": "0"}, "Whole numbers from 1 to 1000, with commas."),
        ({"owner": "be_zzzz"}, "Select a valid choice."),
        ({"window": "year"}, "Select a valid choice."),
    ],
)
def test_what_makes_no_sense_is_said_and_sets_nothing(
    staff: Client, acme: Tenant, data: dict[str, str], says: str
) -> None:
    address = f"/customers/{acme.customer.public_id}/limits/new"
    text = post(staff, address, FORM | {"owner": acme.payer.public_id} | data, 422)
    assert says in text
    assert not SpendLimit.objects.exists()


@pytest.fixture
def tokyo(acme: Tenant) -> Tenant:
    """A second payer of the same customer, which pays for its own workspace in yen."""
    own: dict[str, Any] = {"customer": acme.customer, "created_at": NOW}
    payer = BillingEntity.objects.create(name="KK", currency="JPY", time_zone="Asia/Tokyo", **own)
    workspace = Workspace.objects.create(name="Tokyo", **own)
    PayerAssignment.objects.create(workspace=workspace, billing_entity=payer, **own)
    return Tenant(acme.customer, payer, workspace, None)


def currencies_of(markup: str) -> list[str]:
    """What the form offers to choose among, the chosen one with a star."""
    (field,) = re.findall(r'<select name="currency".*?</select>', markup, re.DOTALL)
    options = re.findall(r'<option value="(\w*)"( selected)?>', field)
    return [value + ("*" if is_chosen else "") for value, is_chosen in options]


@pytest.mark.parametrize("who", ["staff", "owner"])
def test_the_currencies_in_which_is_paid_are_offered_and_a_single_one_needs_no_choice(
    staff: Client, acme: Tenant, who: str
) -> None:
    client = staff if who == "staff" else member_of(acme, "owner")
    address = "/limits/new" if who == "owner" else f"/customers/{acme.customer.public_id}/limits/new"
    assert currencies_of(page(client, address)) == ["USD"]
    make_tenant(None, currency="EUR")
    own: dict[str, Any] = {"customer": acme.customer, "created_at": NOW}
    BillingEntity.objects.create(name="KK", currency="JPY", **own)
    markup = page(client, address)
    assert currencies_of(markup) == ["*", "JPY", "USD"]
    assert "KK (JPY)" in words(markup)
    asked = FORM | {"owner": acme.payer.public_id, "currency": ""}
    assert "This field is required." in post(client, address, asked, 422)
    assert "Select a valid choice." in post(client, address, asked | {"currency": "EUR"}, 422)
    assert not SpendLimit.objects.exists()


def test_a_limit_is_in_the_currency_that_was_chosen(staff: Client, acme: Tenant, tokyo: Tenant) -> None:
    address = f"/customers/{acme.customer.public_id}/limits/new"
    division = Organization.objects.create(customer=acme.customer, name="Both", created_at=NOW)
    text = post(staff, address, FORM | {"owner": tokyo.workspace.public_id, "currency": "JPY"})
    assert "Tokyo Workspace JPY 5 each billing period 0% JPY 0" in text
    for currency in ("JPY", "USD"):
        text = post(staff, address, FORM | {"owner": division.public_id, "currency": currency})
    assert "Both Organization USD 5.00" in text
    assert "Both Organization JPY 5" in text
    limit = SpendLimit.objects.get(level="workspace")
    change = page(staff, f"/customers/{acme.customer.public_id}/limits/{limit.public_id}")
    assert "At most, in JPY" in words(change)


def test_a_currency_in_which_nobody_pays_there_is_refused(staff: Client, acme: Tenant, tokyo: Tenant) -> None:
    address = f"/customers/{acme.customer.public_id}/limits/new"
    for owner, currency, payer in (
        (tokyo.workspace, "USD", "KK pays for this, in JPY."),
        (tokyo.payer, "USD", "KK pays for this, in JPY."),
        (acme.workspace, "JPY", f"{acme.payer.name} pays for this, in USD."),
    ):
        data = FORM | {"owner": owner.public_id, "currency": currency}
        assert payer in post(staff, address, data, 422)
    assert not SpendLimit.objects.exists()


def test_a_limit_that_stands_already_is_said_and_so_is_one_that_a_change_would_make_twice(
    acme: Tenant, limit: SpendLimit
) -> None:
    client = member_of(acme, "owner")
    asked = FORM | {"owner": acme.payer.public_id}
    assert "The limit holds" in post(client, "/limits/new", asked)
    assert "There is a limit of this kind" in post(client, "/limits/new", asked | {"amount": "4"}, 422)
    assert "The limit holds" in post(client, "/limits/new", asked | {"kind": "soft"})
    soft = SpendLimit.objects.get(set_by="customer", kind="soft")
    hardened = {"amount": "4", "kind": "hard"}
    assert "There is a limit of this kind" in post(client, f"/limits/{soft.public_id}", hardened, 422)
    assert "Changed" in post(client, f"/limits/{soft.public_id}", hardened | {"kind": "soft"})


def test_a_meter_is_a_payers(staff: Client, acme: Tenant) -> None:
    address = f"/customers/{acme.customer.public_id}/limits/new"
    data = FORM | {"owner": acme.workspace.public_id, "meter": "tokens"}
    assert "A meter's limit names its billing_entity." in post(staff, address, data, 422)


def test_a_limit_is_changed_and_ended(staff: Client, acme: Tenant, limit: SpendLimit) -> None:
    address = f"/customers/{acme.customer.public_id}/limits/{limit.public_id}"
    markup = page(staff, address)
    assert 'name="amount" value="5"' in markup
    assert "Used USD 4.00" in words(markup)
    assert "Changed, from the next call on." in post(
        staff, address, {"amount": "50", "kind": "soft", "thresholds": ""}
    )
    limit.refresh_from_db()
    assert (limit.amount, limit.kind, limit.thresholds) == (D(50), "soft", [])
    assert "End this limit?" in read(staff, f"{address}/end/ask")
    assert "Ended." in post(staff, f"{address}/end", {})
    limit.refresh_from_db()
    assert limit.ended_at == NOW
    assert "No limits" in read(staff, f"/customers/{acme.customer.public_id}/limits")
    page(staff, address, 404)
    assert staff.get(f"{address}/end").status_code == 405


def test_a_customer_sets_its_own_within_what_staff_allow(acme: Tenant, limit: SpendLimit) -> None:
    client = member_of(acme, "owner")
    text = read(client, "/limits")
    assert f"{acme.payer.name} Payer USD 5.00 each billing period 80%" in text
    too_much = post(client, "/limits/new", FORM | {"owner": acme.payer.public_id, "amount": "6"}, 422)
    assert "The operator's limit here is lower than this." in too_much
    assert "The limit holds" in post(client, "/limits/new", FORM | {"owner": acme.payer.public_id})
    own = SpendLimit.objects.get(set_by="customer")
    assert "Changed" in post(client, f"/limits/{own.public_id}", {"amount": "4.5", "kind": "hard"})
    outcome = charge(acme, "b", properties={"tokens": 80})
    assert isinstance(outcome, Denied)
    assert "End this limit?" in read(client, f"/limits/{own.public_id}/end/ask")
    assert "Ended." in post(client, f"/limits/{own.public_id}/end", {})
    assert isinstance(charge(acme, "c", properties={"tokens": 80}), Charged)


def test_a_customer_leaves_the_operators_limits_and_others_alone(acme: Tenant, limit: SpendLimit) -> None:
    client = member_of(acme, "owner")
    page(client, f"/limits/{limit.public_id}", 404)
    assert client.post(f"/limits/{limit.public_id}/end").status_code == 404
    other = make_tenant(None)
    theirs = create_limit(owner_of(billing_entity=other.payer), D(9), set_by="customer")
    page(client, f"/limits/{theirs.public_id}", 404)
    page(client, f"/limits/{theirs.public_id}/end/ask", 404)
    assert client.post(f"/limits/{theirs.public_id}/end").status_code == 404
    assert other.payer.name not in read(client, "/limits")
    post(client, "/limits/new", FORM | {"owner": other.payer.public_id}, 422)
    assert SpendLimit.objects.count() == 2


@pytest.mark.parametrize("role", ["member"])
def test_who_may_not_set_limits_sees_them(acme: Tenant, limit: SpendLimit, role: str) -> None:
    client = member_of(acme, role)
    text = read(client, "/limits")
    assert "USD 5.00 each billing period" in text
    assert "Set a limit" not in text
    page(client, "/limits/new", 403)
    assert client.post("/limits/new", FORM).status_code == 403


def test_who_of_staff_may_only_look(sign_in: Sign, acme: Tenant, limit: SpendLimit) -> None:
    reader = sign_in("read_only")
    tab = f"/customers/{acme.customer.public_id}/limits"
    assert "Set a limit" not in read(reader, tab)
    assert "80%" in read(reader, "/spend-limits")
    for address in (f"{tab}/new", f"{tab}/{limit.public_id}"):
        page(reader, address, 403)
    assert reader.post(f"{tab}/{limit.public_id}/end").status_code == 403
    page(member_of(acme, "owner"), "/spend-limits", 404)
