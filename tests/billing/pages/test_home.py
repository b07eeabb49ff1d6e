"""Home: who sees it, what it says, what it costs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from accounts.models import User
from accounts.users import add_member, add_to_staff, create_user
from billing.charging import Authorized, Denied, Mode, charge_many, report_events
from billing.margin_floors import set_floor
from billing.wallets import top_up
from core import clock
from metering.events import parse_event
from metering.rates import create_exchange_rate
from pricing.models import PlanVersion
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
QUERIES_MAX = 30


@pytest.fixture
def staff(client: Client) -> Client:
    """Signed in as staff who may only look."""
    client.force_login(add_to_staff(create_user(email="rey@operator.example"), "read_only"))
    return client


@pytest.fixture
def acme() -> Tenant:
    """A prepaid customer at 0.01 a token, with 10 in its wallet."""
    make_meter()
    version = make_version([{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}])
    return make_tenant(version, balance="10")


def version_of(tenant: Tenant) -> PlanVersion:
    assert tenant.subscription is not None
    return tenant.subscription.version


def page(client: Client, path: str = "/") -> str:
    response = client.get(path)
    assert response.status_code == 200
    return response.content.decode()


def test_who_is_not_signed_in_is_asked_to(client: Client) -> None:
    assert client.get("/").status_code == 302


@pytest.mark.parametrize("group", ["admin", "finance", "ops", "read_only"])
def test_every_group_of_staff_sees_it(client: Client, group: str) -> None:
    client.force_login(add_to_staff(create_user(email=f"{group}@operator.example"), group))
    assert "Needs action" in page(client)


def test_a_member_sees_its_own_overview_instead(client: Client, acme: Tenant) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "member")
    client.force_login(user)
    text = page(client)
    assert acme.customer.name in text
    assert "Needs action" not in text


def test_an_empty_installation_has_an_empty_home(staff: Client) -> None:
    text = page(staff)
    assert "Nothing waits" in text
    assert "Nothing in the gap" in text


def test_figures_say_revenue_known_cost_and_coverage(staff: Client, acme: Tenant) -> None:
    costs = [{"vendor": "v", "amount": "0.3", "currency": "USD"}]
    charge(acme, "a", properties={"tokens": 100}, costs=costs)
    charge(acme, "b", properties={"tokens": 100})
    text = page(staff)
    assert ">2.00<" in text  # revenue
    assert ">0.30<" in text  # known cost
    assert "50.0%" in text  # of two events one has a known cost


def test_currencies_meet_only_converted_and_what_cannot_be_is_named(staff: Client, acme: Tenant) -> None:
    version = make_version(
        [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}], currency="EUR"
    )
    other = make_tenant(version, currency="EUR", balance="10")
    charge(acme, "a", properties={"tokens": 100})
    charge(other, "b", properties={"tokens": 100})
    second = make_tenant(make_version([]), balance="1")  # so that most payers pay in USD
    assert second.payer.currency == "USD"
    text = page(staff)
    assert "No exchange rate leads from this currency" in text
    create_exchange_rate(
        base="EUR", quote="USD", rate=Decimal("1.5"), starts_at=clock.now() - timedelta(days=40)
    )
    text = page(staff)
    assert "No exchange rate" not in text
    assert ">2.50<" in text


def test_what_is_held_and_refused_right_now_is_said(staff: Client, acme: Tenant) -> None:
    text = page(staff)
    assert "nothing is reserved" in text
    assert "denied today." in text
    assert "margin floor" not in text  # nobody has one
    hard = make_tenant(version_of(acme), balance="5", overdraft=Decimal(0))
    for key in ("a", "b"):
        asked = request(hard, key, Mode.HOLD, properties={"tokens": 150})
        assert isinstance(charge_many([asked])[0], Authorized)
    assert isinstance(charge(hard, "c", properties={"tokens": 500}), Denied)
    text = page(staff)
    assert "2</span> open holds" in text
    assert ">3.00</span>" in text
    assert "1</span> call</a> denied today" in text
    assert "Insufficient funds" in text
    clock.use(lambda: datetime.now(UTC) + timedelta(days=2))
    text = page(staff)
    clock.use(None)
    assert "0</span> open holds" in text
    assert "denied today." in text


def test_payers_below_their_margin_floor_are_named_the_lowest_first(staff: Client, acme: Tenant) -> None:
    for name, tokens, cost in (("low", 100, "0.95"), ("lowest", 100, "1.5"), ("fine", 100, "0.1")):
        tenant = make_tenant(version_of(acme), balance="50", name=name)
        set_floor(tenant.payer, min_margin=Decimal("0.2"), min_volume=Decimal(0), action="notify")
        costs = [{"vendor": "v", "amount": cost, "currency": "USD"}]
        charge(tenant, name, properties={"tokens": tokens}, costs=costs)
    text = " ".join(page(staff).split())
    assert "2</span> of" in text
    assert text.index(">lowest</a>") < text.index(">low</a>")
    assert "50.0%" in text
    assert ">fine</a>" not in text


def test_a_wallet_that_runs_out_is_named_with_the_days_that_are_left(staff: Client, acme: Tenant) -> None:
    yesterday = (clock.now() - timedelta(days=1)).isoformat()
    charge(acme, "a", Mode.REPORT, properties={"tokens": 875}, occurred_at=yesterday)
    text = page(staff)
    assert acme.payer.name in text
    assert "1.0 days" in text  # 1.25 left at 8.75 in seven days


def test_a_customer_below_cost_and_an_overspend_are_named(staff: Client, acme: Tenant) -> None:
    make_version([])
    hard = make_tenant(version_of(acme), overdraft=Decimal(0))
    top_up(hard.payer, Decimal(1))
    charge(
        hard,
        "a",
        Mode.REPORT,
        properties={"tokens": 300},
        costs=[{"vendor": "v", "amount": "9", "currency": "USD"}],
    )
    text = page(staff)
    assert "Below cost" in text
    assert "below its floor" in text


def test_unheard_names_are_estimated_as_money_in_the_gap(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 100})
    for number in range(3):
        charge(acme, f"x{number}", Mode.REPORT, event="compltion", properties={"tokens": 100})
    text = page(staff)
    assert "Is it <strong>completion</strong>?" in text
    assert ">3.00<" in text


def test_lag_is_shown_by_source(staff: Client, acme: Tenant) -> None:
    at = (clock.now() - timedelta(hours=30)).isoformat()
    charge(acme, "a", Mode.REPORT, properties={"tokens": 1}, occurred_at=at)
    assert "30 h 0 min" in page(staff)


def test_an_import_stands_apart_from_what_is_live(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 1})
    old = {"event": "completion", "workspace": acme.workspace.external_id, "idempotency_key": "old"}
    at = (clock.now() - timedelta(days=3)).isoformat()
    report_events([parse_event(old | {"occurred_at": at}, clock.now())], source="import")
    text = page(staff)
    assert "live, together" not in text, "one live source is its own sum"
    assert text.index(">api<") < text.index(">import<")
    assert '<tr class="is-faint"><th scope="row">import</th>' in text


@pytest.mark.parametrize("query", ["period=last_month", "period=custom&start=x&end=9999", "period=nonsense"])
def test_any_period_is_answered(staff: Client, query: str) -> None:
    page(staff, f"/?{query}")


def test_the_number_of_statements_does_not_grow_with_customers(
    staff: Client, acme: Tenant, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(5):
        tenant = make_tenant(version_of(acme), balance="1")
        charge(tenant, "a", properties={"tokens": number})
    with django_assert_max_num_queries(QUERIES_MAX):
        page(staff)


def test_an_inactive_user_sees_nothing(client: Client) -> None:
    user: User = add_to_staff(create_user(email="gone@operator.example"), "admin")
    client.force_login(user)
    user.is_active = False
    user.save()
    assert client.get("/").status_code == 302
