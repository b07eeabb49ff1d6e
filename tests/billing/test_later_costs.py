"""Costs known after the call: margins move to them, prices never, and every reader of costs counts them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from billing.charging import Charged, Mode
from billing.models import Charge, CostEntry, MarginAlert, MarginBucket
from billing.reversals import reverse_event
from core import clock
from core.ids import hot_id
from metering.models import ExchangeRate, UsageEvent
from pricing import pricelist
from tests.accounts.caller import Answer, Caller, caller_with
from tests.billing.kept_periods import figures, whole
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
ONE_EACH = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
COST_PLUS = {"key": "tok", "meter": "tokens", "model": "cost_plus", "markup": "0.5"}
NOW = START + timedelta(days=9, hours=3, minutes=20)
FLOOR = {"min_margin": "0.2", "action": "deny"}


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)


@pytest.fixture(autouse=True)
def _meter() -> None:
    make_meter()


@pytest.fixture
def caller() -> Caller:
    return caller_with("admin")


def tenant_on(component: dict[str, Any] = ONE_EACH, **payer: Any) -> Tenant:
    version = make_version([component], currency=payer.get("currency", "USD"), margin_floor=FLOOR)
    return make_tenant(version, balance="1000", **payer)


def costs(*amounts: str, currency: str = "USD", vendor: str = "v") -> list[dict[str, str]]:
    return [{"vendor": vendor, "amount": amount, "currency": currency} for amount in amounts]


def call(tenant: Tenant, key: str, price: int = 100, **fields: Any) -> str:
    """The public id of a charge."""
    outcome = charge(tenant, key, properties={"tokens": price, "model": "m"}, user="u", trace="t", **fields)
    assert isinstance(outcome, Charged), outcome
    return hot_id("ch", outcome.customer_id, outcome.id)


def later(caller: Caller, charge_id: str, *parts: dict[str, str], key: str | None = None) -> Answer:
    return caller.post(f"/v1/charges/{charge_id}/costs", {"costs": list(parts)}, key)


def bucket(tenant: Tenant) -> tuple[int, int, Decimal, Decimal]:
    row = MarginBucket.objects.exclude(event="base_fee").get(billing_entity_id=tenant.payer.pk)
    assert figures(row) == figures(whole(tenant.payer))
    return row.events, row.costed, row.revenue, row.cost


def test_a_cost_known_later_moves_margin_and_coverage_and_no_price(caller: Caller) -> None:
    tenant = tenant_on()
    charge_id = call(tenant, "a")
    assert bucket(tenant) == (1, 0, 100, 0)
    answer = later(caller, charge_id, *costs("30", "12.5"))
    assert answer.status == 201, answer.body
    assert (answer.json["cost"], answer.json["change"], answer.json["source"]) == ("42.5", "42.5", "later")
    assert bucket(tenant) == (1, 1, 100, Decimal("42.5"))
    event, row = UsageEvent.objects.get(), Charge.objects.get()
    assert (event.costs, event.cost, row.amount) == (None, None, 100)


def test_the_latest_one_holds_and_each_moves_the_difference(caller: Caller) -> None:
    tenant = tenant_on()
    charge_id = call(tenant, "a", costs=costs("10"))
    steps = [
        ("25", "15"),
        ("0.000000000000000001", "-24.999999999999999999"),
        ("40", "39.999999999999999999"),
    ]
    for amount, change in steps:
        assert later(caller, charge_id, *costs(amount)).json["change"] == change
    assert bucket(tenant) == (1, 1, 100, 40)
    assert later(caller, charge_id).json["cost"] == "0"  # known to cost nothing
    assert bucket(tenant) == (1, 1, 100, 0)
    listed = caller.get(f"/v1/charges/{charge_id}/costs").json["data"]
    assert [row["cost"] for row in listed] == ["0", "40", "0.000000000000000001", "25"]


def test_without_an_exchange_rate_it_is_not_comparable_and_covers_nothing(caller: Caller) -> None:
    tenant = tenant_on(currency="JPY")
    ExchangeRate.objects.create(base="USD", quote="JPY", rate=Decimal(150), starts_at=START, created_at=START)
    charge_id = call(tenant, "a", costs=costs("0.2"))
    assert bucket(tenant) == (1, 1, 100, 30)
    answer = later(caller, charge_id, *costs("0.1"), *costs("2", currency="EUR"))
    assert (answer.status, answer.json["cost"], answer.json["change"]) == (201, None, "-30")
    assert bucket(tenant) == (1, 0, 100, 0)
    assert later(caller, charge_id, *costs("0.1")).json["cost"] == "15"
    assert bucket(tenant) == (1, 1, 100, 15)


def test_thousandths_of_dinars_are_kept_exactly(caller: Caller) -> None:
    tenant = tenant_on(currency="KWD")
    ExchangeRate.objects.create(
        base="USD", quote="KWD", rate=Decimal("0.307"), starts_at=START, created_at=START
    )
    assert later(caller, call(tenant, "a"), *costs("0.001")).json["cost"] == "0.000307"
    assert bucket(tenant) == (1, 1, 100, Decimal("0.000307"))


def test_every_reader_counts_it(caller: Caller) -> None:
    tenant = tenant_on()
    charge_id = call(tenant, "a", costs=costs("10"))
    later(caller, charge_id, *costs("25", vendor="w"))
    shown = caller.get(f"/v1/charges/{charge_id}").json
    assert (shown["cost"], shown["margin"], shown["event"]["costs"][0]["vendor"]) == ("25", "75", "w")
    assert caller.get("/v1/charges").json["data"][0]["cost"] == "25"
    scope = f"billing_entity={tenant.payer.public_id}&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z"
    for extra in ("", "&user=u", "&trace=t"):
        total = caller.get(f"/v1/margins?{scope}{extra}").json["data"][0]["total"]
        assert (total["cost"], total["margin"], total["cost_coverage"]) == ("25", "75", "1"), extra
        assert caller.get(f"/v1/costs?{scope}{extra}").json["data"][0]["total"]["cost"] == "25"


def test_the_proof_of_a_charge_stands_also_where_the_price_came_from_the_cost(caller: Caller) -> None:
    tenant = tenant_on(COST_PLUS)
    charge_id = call(tenant, "a", costs=costs("10"))
    later(caller, charge_id, *costs("25"))
    again = caller.post(f"/v1/charges/{charge_id}/recompute", {}).json
    assert (again["matches"], again["recomputed"]["amount"]) == (True, "15")
    assert caller.get(f"/v1/charges/{charge_id}").json["lines"][0]["breakdown"][0]["amount"] == "15"


def test_under_one_key_it_moves_once(caller: Caller) -> None:
    tenant = tenant_on()
    charge_id = call(tenant, "a")
    first = later(caller, charge_id, *costs("30"), key="k")
    again = later(caller, charge_id, *costs("30"), key="k")
    assert (first.json, first.status) == (again.json, again.status)
    assert later(caller, charge_id, *costs("31"), key="k").status == 409
    assert CostEntry.objects.count() == 1
    assert bucket(tenant) == (1, 1, 100, 30)


def test_reversing_the_event_takes_back_what_is_known_by_then(caller: Caller) -> None:
    tenant = tenant_on()
    charge_id = call(tenant, "a", costs=costs("10"))
    later(caller, charge_id, *costs("25"))
    reverse_event(UsageEvent.objects.get(), reason="a test")
    assert bucket(tenant) == (0, 0, 0, 0)
    refused = later(caller, charge_id, *costs("26"))
    assert (refused.status, refused.error["code"]) == (409, "already_reversed")


def test_what_nothing_priced_has_a_cost_too(caller: Caller) -> None:
    tenant = tenant_on()
    outcome = charge(tenant, "a", Mode.REPORT, event="unheard")
    event_id = hot_id("evt", tenant.customer.pk, outcome.id)  # type: ignore[union-attr]
    assert later(caller, event_id, *costs("3")).status == 201
    assert bucket(tenant) == (1, 1, 0, 3)


def test_staff_is_told_when_it_brings_the_period_below_its_floor(caller: Caller) -> None:
    tenant = tenant_on()
    charge_id = call(tenant, "a", costs=costs("10"))
    later(caller, charge_id, *costs("80"))
    assert not MarginAlert.objects.exists()
    later(caller, charge_id, *costs("80.01"))
    later(caller, charge_id, *costs("81"))
    row = MarginAlert.objects.get()
    assert (row.kind, row.revenue, row.cost) == ("below_floor", 100, Decimal("80.01"))
    assert row.detail["why"] == "later_cost"


def test_so_it_is_by_a_process_that_had_nothing_to_do_with_the_period_yet(caller: Caller) -> None:
    tenant = tenant_on()
    call(tenant, "a", costs=costs("10"))
    elsewhere = pricelist._payers[tenant.payer.pk]
    clock.use(lambda: NOW + timedelta(days=31))
    charge_id = call(tenant, "b", costs=costs("10"))
    pricelist._payers[tenant.payer.pk] = elsewhere  # to make a segment raises no version
    later(caller, charge_id, *costs("81"))
    assert [(row.kind, row.cost) for row in MarginAlert.objects.all()] == [("below_floor", 81)]


def test_a_row_of_cost_stays(caller: Caller) -> None:
    tenant = tenant_on()
    later(caller, call(tenant, "a"), *costs("30"))
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE billing_costentry SET cost = 1")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "costs"),
        ({"costs": "x"}, "costs"),
        ({"costs": [{"vendor": "v", "amount": "-1", "currency": "USD"}]}, "costs[0].amount"),
        ({"costs": [{"vendor": "v", "amount": "1", "currency": "XXX9"}]}, "costs[0].currency"),
        ({"costs": [], "why": "x"}, "why"),
    ],
)
def test_a_body_that_is_wrong_is_refused(caller: Caller, body: dict[str, Any], param: str) -> None:
    charge_id = call(tenant_on(), "a")
    answer = caller.post(f"/v1/charges/{charge_id}/costs", body)
    assert (answer.status, answer.error["param"]) == (400, param)
    assert not CostEntry.objects.exists()


def test_a_call_that_is_none_is_not_found(caller: Caller) -> None:
    tenant_on()
    for reference in ("ch_1", "evt_1", hot_id("ch", 999, uuid4()), hot_id("evt", 999, uuid4())):
        assert later(caller, reference, *costs("1")).status == 404
