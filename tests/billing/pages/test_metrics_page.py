"""Compare metrics: the meters of payers with one currency, beside what these payers cost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.users import add_member, create_user
from billing.charging import Mode
from tests.billing.pages.conftest import NOW, Sign, signed
from tests.billing.pages.reading import page, read, rows
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
PER_CALL = [{"key": "c", "meter": "calls", "model": "per_unit", "unit_price": "4"}]


def call(tenant: Tenant, tokens: int, cost: str | None) -> None:
    costs = None if cost is None else [{"vendor": "v", "amount": cost, "currency": tenant.payer.currency}]
    fields = {"costs": costs} if costs else {}
    at = (NOW - timedelta(days=2)).isoformat()
    charge(tenant, "k", Mode.REPORT, occurred_at=at, properties={"tokens": tokens}, **fields)


@pytest.fixture
def payers() -> list[Tenant]:
    """Three customers with one call each at USD 4, of 1, 2 and 3 tokens; a token costs 1."""
    make_meter("tokens", name="Tokens", unit="tokens")
    make_meter("calls", name="Calls", aggregation="count", unit="calls")
    version = make_version(PER_CALL)
    made = [make_tenant(version) for _ in range(3)]
    for number, tenant in enumerate(made, 1):
        call(tenant, number, str(number))
    return made


def test_the_meter_that_follows_cost_comes_first(staff: Client, payers: list[Tenant]) -> None:
    said = read(staff, "/compare-metrics")
    assert "Tokens follows cost best of these meters." in said
    assert "Payers 3 with usage in these days" in said
    assert "Revenue USD 12.00" in said
    assert "Cost USD 6.00 100% known" in said
    assert "Margin rate 50.0%" in said
    first, second = rows(staff, "/compare-metrics?export=csv")
    assert (first["meter_name"], first["place"], first["fit_correlation"], first["price"]) == (
        *("Tokens", "1", "1"),
        "2",
    )
    assert (first["fit_margin_median"], first["fit_spread"]) == ("0.5", "0")
    # Every customer made one call: calls say nothing of cost, and margins are 3/4, 1/2 and 1/4.
    assert (second["meter_name"], second["fit_correlation"], second["price"]) == ("Calls", "", "4")
    assert Decimal(second["fit_spread"]) == Decimal("0.5")


def test_the_list_can_be_ordered_and_the_rest_of_the_address_stays(
    staff: Client, payers: list[Tenant]
) -> None:
    address = "/compare-metrics?currency=USD&start=2026-01-01&sort=-fit_spread"
    markup = page(staff, address)
    assert markup.index("count of completion") < markup.index("sum of completion.tokens")
    assert "start=2026-01-01" in markup
    assert "currency=USD" in markup


def test_days_without_usage_show_nothing_to_compare(staff: Client, payers: list[Tenant]) -> None:
    said = read(staff, "/compare-metrics?start=2025-11-01&end=2025-11-30")
    assert "Nothing to compare" in said
    assert "Revenue" not in said.replace("same revenue", "")


def test_payers_of_each_currency_are_among_themselves(staff: Client, payers: list[Tenant]) -> None:
    euro = make_tenant(make_version(PER_CALL, currency="EUR"), currency="EUR")
    call(euro, 5, "2")
    assert "Revenue USD 12.00" in read(staff, "/compare-metrics"), "the currency of most payers"
    said = read(staff, "/compare-metrics?currency=EUR")
    assert "Revenue EUR 4.00" in said
    assert "Too few payers. With fewer than three any meter seems to follow cost." in said
    assert "follows cost best" not in said
    assert read(staff, "/compare-metrics?currency=XXX") == read(staff, "/compare-metrics")


def test_without_known_costs_nothing_follows_them(staff: Client) -> None:
    make_meter("tokens")
    make_meter("calls", aggregation="count")
    version = make_version(PER_CALL)
    for number in range(1, 4):
        call(make_tenant(version), number, None)
    said = read(staff, "/compare-metrics")
    assert "No cost is known." in said
    assert "follows cost best" not in said


def test_a_window_that_is_too_long_is_cut_and_said_so(staff: Client, payers: list[Tenant]) -> None:
    said = read(staff, "/compare-metrics?start=2001-01-01&end=2026-01-15")
    assert "A period has at most 731 days" in said
    assert "Revenue USD 12.00" in said


@pytest.mark.parametrize("group", ["admin", "finance", "ops", "read_only"])
def test_every_group_of_staff_may_look(sign_in: Sign, payers: list[Tenant], group: str) -> None:
    assert "Tokens follows cost best" in read(sign_in(group), "/compare-metrics")


def test_a_member_does_not_find_what_its_supplier_pays(payers: list[Tenant]) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, payers[0].customer, "owner")
    page(signed(user), "/compare-metrics", 404)
