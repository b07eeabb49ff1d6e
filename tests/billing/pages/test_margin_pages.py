"""The pages of margins: payers below their floor first, a payer's floor, alerts and rules, vendors' bills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import BillingEntity
from accounts.users import add_member, create_user
from billing.charging import Charged, Mode
from billing.costs import correct_cost
from billing.margin_floors import set_floor
from billing.margin_rules import create_rule, watch_margins
from billing.models import MarginAlert, MarginRule, PayerMarginFloor, VendorBill
from billing.vendor_bills import apply_bills
from core.ids import hot_id
from metering.event_values import CostPart
from metering.models import UsageEvent
from tests.billing.pages.conftest import NOW, Sign, signed
from tests.billing.pages.reading import page, read, rows
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version
from tests.statements import budgets

pytestmark = pytest.mark.django_db
ONE_EACH = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
BUDGETS: Final = budgets("margin pages")
PAGES: Final = {
    "margins": "/margins",
    "margin floor": "/margins/{payer}",
    "margin alerts": "/margin-alerts",
    "vendor bills": "/vendor-bills",
    "vendor bill": "/vendor-bills/{bill}",
    "new vendor bill": "/vendor-bills/new",
}


@pytest.fixture(autouse=True)
def _meter() -> None:
    make_meter()


def payer(name: str, price: int, cost: str | None, **terms: Any) -> Tenant:
    """A payer with one call at this price and cost."""
    tenant = make_tenant(make_version([ONE_EACH], **terms), balance="9000", name=name)
    call(tenant, f"{name}-1", price, cost)
    return tenant


def call(tenant: Tenant, key: str, price: int, cost: str | None) -> None:
    fields = {"costs": [{"vendor": "openai", "amount": cost, "currency": "USD"}]} if cost else {}
    outcome = charge(tenant, key, Mode.REPORT, properties={"tokens": price, "model": "m"}, **fields)
    assert isinstance(outcome, Charged)


FLOOR = {"min_margin": "0.2", "min_volume": "10", "action": "deny"}
TERMS = {"vendor": "openai", "month": "2026-01", "currency": "USD", "total": "120"}


def load(client: Client, **fields: str) -> str:
    """The public id of a bill that was loaded through the form."""
    response: Any = client.post("/vendor-bills/new", TERMS | fields)
    assert response.status_code == 302, response.content.decode()
    return str(response["Location"]).rpartition("/")[2]


def test_those_below_their_floor_come_first_then_those_below_cost(staff: Client) -> None:
    payer("Rich", 100, "10")
    payer("Thin", 100, "85", margin_floor=FLOOR)
    payer("Loss", 100, "150")
    payer("Fine", 100, "50", margin_floor=FLOOR)
    payer("Small", 9, "9", margin_floor=FLOOR)
    found = rows(staff, "/margins?export=csv")
    assert [(row["name"], row["state"]) for row in found] == [
        ("Thin", "below_floor"),
        ("Loss", "below_cost"),
        ("Small", "above_floor"),
        ("Fine", "above_floor"),
        ("Rich", "no_floor"),
    ]
    assert (found[0]["margin_margin_rate"], found[0]["min_margin"], found[0]["action"]) == (
        "0.15",
        "0.2",
        "deny",
    )
    text = read(staff, "/margins")
    assert "1 of 3 with a floor is below it" in text
    assert "Below floor 15.0% 20.0% Calls refused" in text
    address = f"/margins/{BillingEntity.objects.get(name='Thin').public_id}"
    assert "Once revenue reached, in USD" in read(staff, address)


def test_costs_known_later_move_it(staff: Client) -> None:
    tenant = payer("Acme", 100, None, margin_floor=FLOOR)
    assert rows(staff, "/margins?export=csv")[0]["margin_cost"] == ""
    correct_cost(UsageEvent.objects.get(), (CostPart("openai", Decimal(90), "USD"),))
    (row,) = rows(staff, "/margins?export=csv")
    assert (Decimal(row["margin_cost"]), row["state"]) == (90, "below_floor")
    said = read(staff, f"/margins/{tenant.payer.public_id}")
    assert "a cost that became known later" in said
    event = UsageEvent.objects.get()
    shown = read(staff, f"/charges/{hot_id('ch', event.customer_id, event.id)}")
    assert "90.00" in shown
    assert "known from what became known later" in shown


def test_a_floor_is_set_and_removed_by_hand(staff: Client) -> None:
    tenant = payer("Acme", 100, "50")
    address = f"/margins/{tenant.payer.public_id}"
    assert "Give it a floor of its own" in read(staff, address)
    response = staff.post(address, {"percent": "60", "min_volume": "5", "action": "deny"})
    assert response.status_code == 302
    floor = PayerMarginFloor.objects.get()
    assert (floor.min_margin, floor.min_volume, floor.action) == (Decimal("0.6"), 5, "deny")
    said = read(staff, address)
    assert "Below floor" in said
    assert "60.0% once revenue reaches USD 5.00; below it calls are refused" in said
    assert 'value="60"' in page(staff, address)
    assert staff.post(f"{address}/remove").status_code == 302
    assert not PayerMarginFloor.objects.exists()
    staff.post(f"{address}/remove")
    assert "This payer has no margin floor of its own" in read(staff, address)


@pytest.mark.parametrize(
    "wrong", [{"percent": "101"}, {"percent": "-1"}, {"percent": "x"}, {"min_volume": "-1"}, {"action": "?"}]
)
def test_a_floor_that_makes_no_sense_is_shown_again(staff: Client, wrong: dict[str, str]) -> None:
    tenant = payer("Acme", 100, "50")
    body = {"percent": "60", "min_volume": "5", "action": "deny"} | wrong
    assert staff.post(f"/margins/{tenant.payer.public_id}", body).status_code == 422
    assert not PayerMarginFloor.objects.exists()


def test_alerts_say_whom_they_are_of_and_rules_are_made_and_ended(staff: Client) -> None:
    payer("Acme", 100, "90", margin_floor=FLOOR)
    payer("Dark", 100, None, margin_floor=FLOOR)
    said = read(staff, "/margin-alerts")
    assert "Acme Below floor floor 20 %, calls refused" in said
    why = "the first call whose cost nobody says; figures before it"
    assert f"Dark Unknown cost floor 20 %, calls refused; {why}" in said
    body = {"scope": "whole", "subject": "", "points": "5", "days": "7"}
    assert staff.post("/margin-alerts", body).status_code == 302
    rule = MarginRule.objects.get()
    assert (rule.scope, rule.points, rule.days, rule.created_by) == (
        "whole",
        5,
        7,
        "finance@operator.example",
    )
    assert staff.post("/margin-alerts", body | {"subject": "x"}).status_code == 422
    assert staff.post("/margin-alerts", body | {"scope": "plan", "subject": "none"}).status_code == 422
    assert "Nobody is told of such a fall any more" in read(staff, f"/margin-rules/{rule.public_id}/end/ask")
    assert staff.post(f"/margin-rules/{rule.public_id}/end").status_code == 302
    rule.refresh_from_db()
    assert rule.ended_at == NOW
    assert rows(staff, "/margin-alerts?a-export=csv")[0]["about"] == "Dark"


def test_a_fall_is_told_in_words(staff: Client) -> None:
    create_rule(scope="whole", points=Decimal(1), days=5)
    tenant = make_tenant(make_version([ONE_EACH]), balance="900")
    for day, cost in ((7, "10"), (12, "40")):
        fields = {"costs": [{"vendor": "v", "amount": cost, "currency": "USD"}]}
        at = f"2026-01-{day:02}T12:00:00Z"
        charge(tenant, str(day), Mode.REPORT, properties={"tokens": 100}, occurred_at=at, **fields)
    assert watch_margins(NOW) == 1
    assert "Whole Fall fell 30 points in 5 days" in read(staff, "/margin-alerts")


def test_a_bill_is_loaded_previewed_and_applied_by_hand(staff: Client) -> None:
    payer("Acme", 100, "60")
    payer("Globex", 100, "40")
    bill = load(staff, uplift="50", not_usage="5")
    said = read(staff, f"/vendor-bills/{bill}")
    for part in ("Previewed", "120.00", "100.00", "15.00", "5.00", "Acme", "Globex"):
        assert part in said, said
    assert "No customer pays more or less" in read(staff, f"/vendor-bills/{bill}/apply/ask")
    assert staff.post(f"/vendor-bills/{bill}/apply").status_code == 302
    assert "is being applied" in read(staff, f"/vendor-bills/{bill}")
    assert apply_bills() == 1
    row = VendorBill.objects.get()
    assert (row.spread, row.applied_by, row.max_uplift) == (15, "finance@operator.example", Decimal("0.5"))
    found = {
        row["name"]: Decimal(row["share_spread"]) for row in rows(staff, f"/vendor-bills/{bill}?export=csv")
    }
    assert found == {"Acme": 9, "Globex": 6}
    listed = rows(staff, "/vendor-bills?export=csv")
    assert (listed[0]["status"], listed[0]["month"], Decimal(listed[0]["rest"])) == ("applied", "2026-01", 5)
    assert staff.post(f"/vendor-bills/{bill}/apply", follow=True).status_code == 200
    assert VendorBill.objects.get().spread == 15


def test_a_preview_is_thrown_away_by_hand(staff: Client) -> None:
    payer("Acme", 100, "60")
    bill = load(staff)
    assert "Nothing was applied yet" in read(staff, f"/vendor-bills/{bill}/discard/ask")
    assert staff.post(f"/vendor-bills/{bill}/discard").status_code == 302
    assert not VendorBill.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"month": "2026-13"}, "A month such as 2026-01 is expected."),
        ({"month": "x"}, "A month such as 2026-01 is expected."),
        ({"total": "1.001"}, "at most 2 decimals"),
        ({"total": ""}, "No bill of this vendor, month and model has been applied."),
        ({"currency": "ZZZ"}, "ISO 4217"),
        ({"not_usage": "121"}, "not_usage is a part of the total"),
    ],
)
def test_a_bill_that_makes_no_sense_is_shown_again(staff: Client, wrong: dict[str, str], says: str) -> None:
    response = staff.post("/vendor-bills/new", TERMS | wrong)
    assert response.status_code == 422
    assert says in response.content.decode()
    assert not VendorBill.objects.exists()


def test_who_only_reads_sees_figures_and_no_buttons(sign_in: Sign, staff: Client) -> None:
    tenant = payer("Acme", 100, "60")
    bill = load(staff)
    reader = sign_in("read_only")
    assert "Throw away" not in page(reader, f"/vendor-bills/{bill}")
    assert "Set the floor" not in page(reader, f"/margins/{tenant.payer.public_id}")
    assert "Make the rule" not in page(reader, "/margin-alerts")
    address = f"/margins/{tenant.payer.public_id}"
    assert reader.post(address, {"percent": "1", "min_volume": "0", "action": "deny"}).status_code == 200
    assert not PayerMarginFloor.objects.exists()
    for path in (f"{address}/remove", f"/vendor-bills/{bill}/apply"):
        assert reader.post(path).status_code == 403
    assert reader.get("/vendor-bills/new").status_code == 403


def test_a_customer_finds_none_of_these_pages(staff: Client) -> None:
    tenant = payer("Acme", 100, "60", margin_floor=FLOOR)
    bill = load(staff)
    user = create_user(email="owner@acme.example")
    add_member(user, tenant.customer, "owner")
    member = signed(user)
    for address in PAGES.values():
        at = address.format(payer=tenant.payer.public_id, bill=bill)
        assert member.get(at).status_code == 404, at


@pytest.mark.parametrize("name", PAGES)
def test_a_page_keeps_to_its_budget_whatever_it_shows(staff: Client, name: str) -> None:
    tenants = [payer("A", 100, "90", margin_floor=FLOOR)]
    bill = load(staff)
    counts = []
    for number in range(2):
        at = PAGES[name].format(payer=tenants[0].payer.public_id, bill=bill)
        staff.get(at)
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(at).status_code == 200
        counts.append(len(captured.captured_queries))
        tenants += [payer(f"{number}{each}", 100, "90", margin_floor=FLOOR) for each in range(3)]
        set_floor(tenants[-1].payer, min_margin=Decimal("0.5"))
        create_rule(scope="whole", points=Decimal(5), days=7)
        bill = load(staff)
    assert counts[0] == counts[1]
    assert counts[0] <= BUDGETS[name]


def test_alerts_are_listed_page_by_page(staff: Client) -> None:
    for number in range(27):
        payer(f"P{number:02}", 100, "90", margin_floor=FLOOR)
    assert MarginAlert.objects.count() == 27
    first = page(staff, "/margin-alerts")
    assert ("P26" in first, "P00" in first) == (True, False)
    assert len(rows(staff, "/margin-alerts?a-export=csv")) == 27
