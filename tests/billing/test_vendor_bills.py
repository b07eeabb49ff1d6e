"""Vendors' bills through the API: previewed, applied once, superseded, and exact to the last decimal."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, IntegrityError, connection, transaction

from accounts.keys import issue_api_key
from billing.charging import Charged
from billing.models import Charge, CostEntry, MarginAlert, MarginBucket, VendorBill, VendorBillShare
from billing.reversals import reverse_event
from billing.vendor_bills import apply_bills, applying, begin_bill, discard_bill, load_bill
from core import clock
from core.errors import Conflict
from core.ids import hot_id
from core.sql import driver
from metering.models import ExchangeRate, UsageEvent
from tests.accounts.caller import Answer, Caller
from tests.billing.invariants import broken_invariants
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
ONE_EACH = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
NOW = datetime(2026, 1, 20, 9, 30, tzinfo=UTC)
LATER = datetime(2026, 2, 3, tzinfo=UTC)
_clock = standing_at(NOW)


@pytest.fixture(autouse=True)
def _meter() -> None:
    make_meter()


def tenant_in(currency: str = "USD", **terms: Any) -> Tenant:
    return make_tenant(
        make_version([ONE_EACH], currency=currency, **terms), balance="9000", currency=currency
    )


def call(
    tenant: Tenant, key: str, amount: str | None, vendor: str = "openai", currency: str = "USD", **fields: Any
) -> str:
    """A call priced at 100, with what the vendor was booked for; the charge's public id."""
    costs = [] if amount is None else [{"vendor": vendor, "amount": amount, "currency": currency}]
    properties = {"tokens": 100, "model": fields.pop("model", "m")}
    outcome = charge(tenant, key, properties=properties, costs=costs, **fields)
    assert isinstance(outcome, Charged), outcome
    return hot_id("ch", outcome.customer_id, outcome.id)


def load(caller: Caller, total: str | None, **fields: Any) -> dict[str, Any]:
    clock.use(lambda: LATER)
    body = {"vendor": "openai", "month": "2026-01", "currency": "USD", "total": total} | fields
    return caller.made("/v1/vendor-bills", body)


def apply(caller: Caller, bill: dict[str, Any]) -> dict[str, Any]:
    """Apply a bill as the workers would; it as it is then."""
    answer = caller.post(f"/v1/vendor-bills/{bill['id']}/apply", {})
    assert (answer.status, answer.json["status"]) == (200, "applying"), answer.body
    call_command("run_due", now=LATER.isoformat())
    clock.use(lambda: LATER)
    found: dict[str, Any] = caller.get(f"/v1/vendor-bills/{bill['id']}").json
    assert found["status"] == "applied"
    assert broken_invariants(driver()) == []
    return found


def cost(tenant: Tenant) -> Decimal:
    rows = MarginBucket.objects.filter(billing_entity_id=tenant.payer.pk)
    return sum((row.cost for row in rows), Decimal(0))


def known(tenant: Tenant, vendor: str = "openai") -> Decimal:
    """All parts of the vendor on the payer's calls, from the latest rows."""
    found = Decimal(0)
    for event in UsageEvent.objects.filter(billing_entity_id=tenant.payer.pk):
        entry = CostEntry.objects.filter(event_id=event.id).order_by("pk").last()
        parts = event.costs if entry is None else entry.costs
        found += sum(
            (Decimal(part["amount"]) for part in parts or () if part["vendor"] == vendor), Decimal(0)
        )
    return found


def test_a_bill_is_previewed_then_spread_over_payers_and_calls(caller: Caller) -> None:
    acme, globex = tenant_in(), tenant_in()
    calls = [call(acme, "a", "30"), call(acme, "b", "30"), call(globex, "c", "40")]
    call(acme, "d", "7", vendor="anthropic")
    bill = load(caller, "120")
    assert {name: bill[name] for name in ("status", "booked", "spread", "unattributed", "calls")} == {
        "status": "previewed",
        "booked": "100",
        "spread": "20",
        "unattributed": "0",
        "calls": 3,
    }
    shares = caller.get(f"/v1/vendor-bills/{bill['id']}/shares").json["data"]
    assert {row["billing_entity"]: row["amount"] for row in shares} == {
        acme.payer.public_id: "12",
        globex.payer.public_id: "8",
    }
    assert (cost(acme), cost(globex), CostEntry.objects.count()) == (67, 40, 0)
    apply(caller, bill)
    assert (cost(acme), cost(globex)) == (79, 48)
    assert [caller.get(f"/v1/charges/{one}").json["cost"] for one in calls] == ["36", "36", "48"]
    row = caller.get(f"/v1/charges/{calls[0]}/costs").json["data"][0]
    assert (row["source"], row["vendor_bill"], row["change"]) == ("bill", bill["id"], "6")
    assert set(Charge.objects.values_list("amount", flat=True)) == {Decimal(100)}


@pytest.mark.parametrize("total", ["100.01", "99.99", "0", "123.45"])
def test_the_parts_sum_to_the_bill_exactly(caller: Caller, total: str) -> None:
    tenants = [tenant_in() for _ in range(3)]
    for number, tenant in enumerate(tenants):
        for each in range(number + 1):
            call(tenant, f"k{each}", "0.333333333333333333")
    apply(caller, load(caller, total))
    assert sum(known(tenant) for tenant in tenants) == Decimal(total)


def test_yen_and_dinars(caller: Caller) -> None:
    ExchangeRate.objects.create(base="USD", quote="JPY", rate=Decimal(150), starts_at=START, created_at=START)
    ExchangeRate.objects.create(
        base="USD", quote="KWD", rate=Decimal("0.3"), starts_at=START, created_at=START
    )
    yen, dinars = tenant_in("JPY"), tenant_in("KWD")
    call(yen, "a", "2")
    call(dinars, "b", "1")
    apply(caller, load(caller, "3.03"))
    assert (cost(yen), cost(dinars)) == (Decimal(303), Decimal("0.303"))
    assert (known(yen), known(dinars)) == (Decimal("2.02"), Decimal("1.01"))


def test_a_bill_in_yen_over_calls_booked_in_dollars(caller: Caller) -> None:
    ExchangeRate.objects.create(base="USD", quote="JPY", rate=Decimal(150), starts_at=START, created_at=START)
    tenant = tenant_in()
    call(tenant, "a", "2")
    bill = load(caller, "330", currency="JPY")
    assert (bill["booked"], bill["spread"]) == ("300", "30")
    apply(caller, bill)
    assert cost(tenant) == Decimal("2.2")
    clock.use(lambda: LATER)
    refused = caller.post(
        "/v1/vendor-bills", {"vendor": "v", "month": "2026-01", "currency": "JPY", "total": "0.5"}
    )
    assert (refused.status, refused.error["param"]) == (400, "total")


def test_what_no_rate_converts_is_left_out_and_counted(caller: Caller) -> None:
    tenant, yen = tenant_in(), tenant_in("JPY")
    call(tenant, "a", "10")
    call(tenant, "b", "10", currency="EUR")
    call(yen, "c", "10")  # comparable with the bill, not with the payer's yen
    bill = load(caller, "30")
    assert (bill["booked"], bill["calls"], bill["left_out"], bill["spread"]) == ("20", 2, 1, "10")
    apply(caller, bill)
    assert (cost(tenant), cost(yen), known(yen)) == (15, 0, 15)


def test_what_no_call_explains_stays_unattributed(caller: Caller) -> None:
    tenant = tenant_in()
    call(tenant, "a", "10")
    bill = load(caller, "100", not_usage="5", max_uplift="0.5")
    assert (bill["spread"], bill["unattributed"]) == ("5", "85")
    assert apply(caller, bill)["unattributed"] == "85"
    assert cost(tenant) == 15
    nobody = load(caller, "50", vendor="unheard-of")
    assert (nobody["booked"], nobody["spread"], nobody["unattributed"]) == ("0", "0", "50")
    assert apply(caller, nobody)["unattributed"] == "50"


def test_only_calls_of_the_month_that_count_and_of_the_model_are_its(caller: Caller) -> None:
    version = make_version([ONE_EACH])
    tenant = make_tenant(version, balance="9000", starts_at=datetime(2025, 12, 1, tzinfo=UTC))
    call(tenant, "december", "10", occurred_at="2025-12-31T23:59:59Z")
    call(tenant, "first", "10", occurred_at="2026-01-01T00:00:00Z")
    call(tenant, "other", "10", model="n")
    call(tenant, "gone", "10")
    gone = UsageEvent.objects.get(idempotency_key="gone")
    reverse_event(gone, reason="a test")
    assert load(caller, "30")["booked"] == "20"
    bill = load(caller, "15", model="m")
    assert (bill["booked"], bill["calls"], bill["spread"]) == ("10", 1, "5")
    apply(caller, bill)
    assert cost(tenant) == 35


def test_a_new_bill_takes_the_place_of_the_one_before_and_null_takes_it_back(caller: Caller) -> None:
    tenant = tenant_in()
    call(tenant, "a", "10")
    call(tenant, "b", "30")
    first = apply(caller, load(caller, "60"))
    assert cost(tenant) == 60
    second = load(caller, "44")
    assert (second["booked"], second["spread"]) == ("40", "4")
    second = apply(caller, second)
    assert (cost(tenant), second["supersedes"]) == (44, first["id"])
    assert caller.get(f"/v1/vendor-bills/{first['id']}").json["status"] == "superseded"
    back = apply(caller, load(caller, None))
    assert (cost(tenant), back["unattributed"]) == (40, None)
    refused = caller.post(
        "/v1/vendor-bills", {"vendor": "openai", "month": "2026-01", "currency": "USD", "total": None}
    )
    assert (refused.status, refused.error["code"]) == (422, "nothing_to_take_back")
    apply(caller, load(caller, "50"))
    assert cost(tenant) == 50


def test_a_bill_is_applied_once(caller: Caller) -> None:
    tenant = tenant_in()
    call(tenant, "a", "10")
    bill = load(caller, "12")
    first = caller.post(f"/v1/vendor-bills/{bill['id']}/apply", {}, "k")
    assert caller.post(f"/v1/vendor-bills/{bill['id']}/apply", {}, "k").json == first.json
    refused = caller.post(f"/v1/vendor-bills/{bill['id']}/apply", {})
    assert (refused.status, refused.error["code"]) == (409, "bill_applied")
    assert (apply_bills(), apply_bills()) == (1, 0)
    assert cost(tenant) == 12


def test_two_previews_of_one_month_and_the_later_applied_stands(caller: Caller) -> None:
    tenant = tenant_in()
    call(tenant, "a", "10")
    one, two = load(caller, "12"), load(caller, "13")
    apply(caller, two)
    apply(caller, one)
    assert cost(tenant) == 12


def test_while_one_is_taken_back_none_is_applied(caller: Caller) -> None:
    tenant = tenant_in()
    call(tenant, "a", "10")
    apply(caller, load(caller, "12"))
    back, other = load(caller, None), load(caller, "15")
    assert caller.post(f"/v1/vendor-bills/{back['id']}/apply", {}).status == 200
    refused = caller.post(f"/v1/vendor-bills/{other['id']}/apply", {})
    assert (refused.status, refused.error["code"]) == (409, "bill_applying")
    apply_bills()
    assert cost(tenant) == 10
    apply(caller, other)
    assert cost(tenant) == 15


def test_bills_by_model_and_of_the_whole_do_not_stand_beside_each_other(caller: Caller) -> None:
    tenant = tenant_in()
    call(tenant, "a", "10")
    call(tenant, "b", "10", model="n")
    apply(caller, load(caller, "11", model="m"))
    apply(caller, load(caller, "12", model="n"))
    assert cost(tenant) == 23
    whole = load(caller, "40")
    refused = caller.post(f"/v1/vendor-bills/{whole['id']}/apply", {})
    assert (refused.status, refused.error["code"]) == (409, "other_bills_stand")
    for model in ("m", "n"):
        apply(caller, load(caller, None, model=model))
    apply(caller, whole)
    assert cost(tenant) == 40


def test_interrupted_work_goes_on_where_it_stopped(caller: Caller) -> None:
    acme, globex = tenant_in(), tenant_in()
    call(acme, "a", "10")
    call(globex, "b", "10")
    bill = load(caller, "30")
    caller.post(f"/v1/vendor-bills/{bill['id']}/apply", {})
    share = VendorBillShare.objects.order_by("customer_id").first()
    assert share is not None
    assert applying.apply_share(VendorBill.objects.get(), share.pk)
    assert (cost(acme), cost(globex), VendorBill.objects.get().status) == (15, 10, "applying")
    assert apply_bills() == 1
    assert (cost(acme), cost(globex)) == (15, 15)


def test_calls_that_are_gone_when_it_is_applied_leave_their_share_unattributed(caller: Caller) -> None:
    acme, globex = tenant_in(), tenant_in()
    call(acme, "a", "10")
    call(globex, "b", "10")
    bill = load(caller, "30")
    caller.post(f"/v1/vendor-bills/{bill['id']}/apply", {})
    reverse_event(UsageEvent.objects.get(billing_entity_id=acme.payer.pk), reason="a test")
    assert apply_bills() == 1
    found = caller.get(f"/v1/vendor-bills/{bill['id']}").json
    assert (found["booked"], found["spread"], found["unattributed"]) == ("20", "5", "5")
    assert (cost(acme), cost(globex)) == (0, 15)


def test_a_cost_known_later_takes_the_place_of_its_share(caller: Caller) -> None:
    tenant = tenant_in()
    charge_id = call(tenant, "a", "10")
    apply(caller, load(caller, "12"))
    part = {"vendor": "openai", "amount": "11", "currency": "USD"}
    caller.made(f"/v1/charges/{charge_id}/costs", {"costs": [part]})
    assert cost(tenant) == 11
    assert broken_invariants(driver()) == []


def test_it_brings_a_period_below_its_floor_and_staff_hears(caller: Caller) -> None:
    tenant = tenant_in(margin_floor={"min_margin": "0.2"})
    call(tenant, "a", "70")
    apply(caller, load(caller, "81"))
    row = MarginAlert.objects.get()
    assert (row.kind, row.cost, row.detail["why"]) == ("below_floor", 81, "later_cost")


def test_another_customers_calls_are_counted_to_their_own_payer_only(caller: Caller) -> None:
    acme, globex = tenant_in(), tenant_in()
    call(acme, "same-key", "10")
    call(globex, "same-key", "30")
    bill = apply(caller, load(caller, "80"))
    rows = caller.get(f"/v1/vendor-bills/{bill['id']}/shares?customer={acme.customer.public_id}").json["data"]
    assert [(row["customer"], row["spread"]) for row in rows] == [(acme.customer.public_id, "10")]
    own = Caller(issue_api_key(workspace=acme.workspace, name="k").secret)
    for path in ("vendor-bills", f"vendor-bills/{bill['id']}/shares", "margin-alerts", "margin-floors"):
        assert own.get(f"/v1/{path}").status == 401


def test_what_was_applied_is_kept_and_a_preview_may_go(caller: Caller) -> None:
    tenant = tenant_in()
    call(tenant, "a", "10")
    clock.use(lambda: LATER)
    given = {"vendor": "openai", "month": date(2026, 1, 31), "currency": "USD", "total": Decimal(12)}
    bill = load_bill(**given)  # type: ignore[arg-type]
    discard_bill(bill)
    assert not VendorBill.objects.exists()
    kept = begin_bill(load_bill(**given))  # type: ignore[arg-type]
    assert kept.month == date(2026, 1, 1)
    with pytest.raises(Conflict):
        discard_bill(kept)
    with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM billing_vendorbillshare; DELETE FROM billing_vendorbill")


def test_the_database_lets_one_bill_stand() -> None:
    fields = {"vendor": "v", "month": date(2026, 1, 1), "currency": "USD", "created_at": NOW, "total": 1}
    VendorBill.objects.create(**fields, status="applied")
    with pytest.raises(IntegrityError), transaction.atomic():
        VendorBill.objects.create(**fields, status="applying")
    VendorBill.objects.create(**fields, status="previewed")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"month": "2026-13"}, "month"),
        ({"month": "2026-1"}, "month"),
        ({"month": 202601}, "month"),
        ({"total": "-1"}, "total"),
        ({"total": "1.001"}, "total"),
        ({"currency": "CREDITS"}, "currency"),
        ({"not_usage": "13"}, "not_usage"),
        ({"max_uplift": "-0.1"}, "max_uplift"),
        ({"vendor": ""}, "vendor"),
    ],
)
def test_a_bill_that_makes_no_sense_is_refused(caller: Caller, fields: dict[str, Any], param: str) -> None:
    body = {"vendor": "openai", "month": "2026-01", "currency": "USD", "total": "12"} | fields
    answer: Answer = caller.post("/v1/vendor-bills", body)
    assert (answer.status, answer.error["param"]) == (400, param)
