"""The editor: what is wrong with a text and where, what it would bring, and saving and publishing it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.users import add_member, create_user
from billing.charging import Mode
from billing.reports.plan_economics import plan_economics
from core import clock
from pricing.catalog import read_plan
from pricing.models import PlanVersion
from pricing.plans import apply_plan
from tests.billing.pages.conftest import NOW, Sign, now_is, signed
from tests.billing.pages.reading import page, read, words
from tests.billing.world import Tenant, charge, make_meter, make_tenant

pytestmark = pytest.mark.django_db
D = Decimal
TEXT = """plan: pro
name: Pro
currency: USD
base_fees:
  - {key: platform, amount: "10", timing: in_advance, prorate: true}
components:
  - {key: tok, meter: tokens, model: per_unit, unit_price: "0.02"}
"""


def send(client: Client, text: str, *, status: int = 200, htmx: bool = False, **more: Any) -> str:
    """What the editor answers to a text."""
    headers = {"hx-request": "true", "hx-target": "check"} if htmx else {}
    response = client.post("/plan-editor", {"text": text, **more}, headers=headers)
    assert response.status_code == status, response.content.decode()[:1500]
    return str(response.content.decode())


def spend(tenant: Tenant, key: str, tokens: int, cost: str) -> None:
    """A call that used tokens and cost money."""
    costs = [{"vendor": "v", "amount": cost, "currency": "USD"}]
    now_is(NOW - timedelta(hours=1))  # buckets are of whole hours
    charge(tenant, key, Mode.REPORT, properties={"tokens": tokens}, costs=costs)
    now_is(NOW)


def test_a_plan_opens_as_its_file(staff: Client, version: PlanVersion) -> None:
    text = read(staff, f"/plans/{version.plan.key}/edit")
    assert f"plan: {version.plan.key}" in text
    assert 'included: "100"' in text
    assert "Valid. It can be saved as it stands." in text
    assert "Nothing differs: saving would change nothing." in text


def test_a_draft_opens_before_what_is_published(staff: Client, version: PlanVersion) -> None:
    apply_plan(version.content | {"trial": {"days": 30}})
    text = read(staff, f"/plans/{version.plan.key}/edit")
    assert "days: 30" in text
    assert "trial.days \u2013 no value 30" in text


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('"0.02"', "0.02", 7, 'must be a decimal number in quotes: "0.02", not 0.02.'),
        ("per_unit", "per_unite", 7, "must be one of: per_unit, graduated"),
        ("meter: tokens", "meter: tokenz", 7, "There is no meter 'tokenz' in use"),
        ("currency: USD", "currency: XYZ", 3, "There is no currency 'XYZ'"),
        ("in_advance", "someday", 5, "must be one of: in_advance, in_arrears"),
        ("name: Pro", "name: [", 4, "Not YAML"),
        ("base_fees:", "fees:", 5, "fees is not known here; known are: anchor, base_fees"),
    ],
)
def test_a_problem_names_its_line_and_what_would_be_valid(
    staff: Client, version: PlanVersion, old: str, new: str, line: int, says: str
) -> None:
    text = words(send(staff, TEXT.replace(old, new, 1), status=422))
    assert "Not valid 1 problem" in text
    assert f"Line {line} " in text
    assert says in text
    assert not PlanVersion.objects.filter(plan__key="pro").exists()


def test_htmx_gets_the_check_alone_whatever_it_says(staff: Client, version: PlanVersion) -> None:
    good, bad = send(staff, TEXT, htmx=True), send(staff, "plan: [", htmx=True)
    assert good.lstrip().startswith('<div class="stack is-tight" id="check"')
    assert "Not valid" in bad
    assert "<main" not in good + bad


def test_checking_stores_nothing(staff: Client, version: PlanVersion) -> None:
    before = PlanVersion.objects.count()
    assert "A new plan" in words(send(staff, TEXT, action="check"))
    send(staff, TEXT, htmx=True, action="save")
    assert PlanVersion.objects.count() == before


def test_saving_makes_a_draft_and_shows_it(staff: Client, version: PlanVersion) -> None:
    response: Any = staff.post("/plan-editor", {"text": TEXT, "action": "save"}, follow=True)
    draft = PlanVersion.objects.get(plan__key="pro")
    assert response.redirect_chain == [(f"/plan-versions/{draft.public_id}", 302)]
    assert "plan pro: draft v1 created." in words(response.content.decode())
    assert draft.status == "draft"


def test_what_is_wrong_is_not_saved(staff: Client, version: PlanVersion) -> None:
    send(staff, TEXT.replace('"0.02"', "0.02"), status=422, action="save")
    assert not PlanVersion.objects.filter(plan__key="pro").exists()


def test_a_draft_is_published_by_typing_the_key_of_its_plan(staff: Client, version: PlanVersion) -> None:
    draft = apply_plan(version.content | {"trial": {"days": 30}})
    address, key = f"/plan-versions/{draft.public_id}/publish", draft.plan.key
    assert "It can never be changed or deleted" in read(staff, address)
    assert staff.post(address, {"confirm_word": "yes"}).status_code == 422
    draft.refresh_from_db()
    assert draft.status == "draft"
    response: Any = staff.post(address, {"confirm_word": key}, follow=True)
    assert f"{key} v2 is published. Nobody was moved to it." in words(response.content.decode())
    draft.refresh_from_db()
    assert draft.status == "published"
    again: Any = staff.post(address, {"confirm_word": key}, follow=True)
    assert "is published already." in words(again.content.decode())


def test_costs_of_a_unit_stand_beside_the_price(staff: Client, acme: Tenant, version: PlanVersion) -> None:
    spend(acme, "a", 1000, "5")
    for number, cost in enumerate(("10", "15", "30")):
        spend(make_tenant(version), f"b{number}", 1000, cost)
    economics = plan_economics(read_plan(_document()), {}, clock.now())
    (part,) = economics.components
    assert part.costs is not None
    assert (part.costs.customers, part.costs.median, part.costs.worst) == (4, D("0.01"), D("0.03"))
    assert (part.costs.break_even, part.typical, part.price) == (D("0.015"), D(1000), D("0.02"))
    assert part.margin == D("0.25")  # 80 of revenue, 60 of cost
    text = words(send(staff, TEXT))
    assert "USD 0.01 median" in text
    assert "worst USD 0.03" in text
    assert "25.0%" in text


def test_a_price_below_cost_is_called_so(staff: Client, acme: Tenant) -> None:
    spend(acme, "a", 1000, "30")
    assert "Below cost" in words(send(staff, TEXT))


def test_components_that_earn_on_the_same_calls_share_one_margin(acme: Tenant) -> None:
    make_meter("calls", aggregation="count")
    spend(acme, "a", 1000, "30")
    calls = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "20"}
    document = _document()
    document["components"].append(calls)
    tok, call = plan_economics(read_plan(document), {}, clock.now()).components
    assert (tok.shared, call.shared) == (("calls",), ("tok",))
    # 1,000 x 0.02 + 1 x 20 = 40 of revenue; the call cost 30 once.
    assert (tok.margin, call.margin) == (D("0.25"), D("0.25"))


def test_without_usage_nothing_is_said_of_costs(staff: Client, version: PlanVersion) -> None:
    (part,) = plan_economics(read_plan(_document()), {}, clock.now()).components
    assert (part.typical, part.price, part.margin) == (None, None, None)
    assert "tok units, each no value" in words(send(staff, TEXT)).replace("\u2013 ", "")


@pytest.mark.parametrize(
    ("typed", "amount", "total"),
    [("250", "5", "15"), *((typed, "0", "10") for typed in ("0", "", "-3", "NaN", "x"))],
)
def test_a_sample_month_is_what_the_engine_charges(
    version: PlanVersion, typed: str, amount: str, total: str
) -> None:
    sample = plan_economics(read_plan(_document()), {"tok": typed}, clock.now()).sample
    assert sample is not None
    assert {key: value for key, _, value in sample.lines} == {"platform": D(10), "tok": D(amount)}
    assert sample.total == D(total)


def test_a_sample_month_comes_up_to_the_minimum_spend(version: PlanVersion) -> None:
    terms = read_plan(_document() | {"minimum_spend": "25"})
    sample = plan_economics(terms, {"tok": "250"}, clock.now()).sample
    assert sample is not None
    assert sample.lines[-1] == ("minimum_spend", None, D(10))
    assert sample.total == D(25)


def test_what_prices_events_takes_no_quantity(version: PlanVersion) -> None:
    percentage = {"key": "tok", "meter": "tokens", "model": "percentage", "rate": "0.03"}
    economics = plan_economics(read_plan(_document() | {"components": [percentage]}), {}, clock.now())
    assert economics.sample is not None
    assert (economics.sample.quantities, economics.sample.total) == ({}, D(10))


@pytest.mark.parametrize("group", ["ops", "read_only"])
def test_who_may_not_change_prices_does_not_edit(sign_in: Sign, version: PlanVersion, group: str) -> None:
    person = sign_in(group)
    address = f"/plans/{version.plan.key}/edit"
    for url in ("/plan-editor", address, f"/plan-versions/{version.public_id}/publish"):
        page(person, url, 403)
        assert person.post(url, {"text": TEXT, "action": "save"}).status_code == 403
    assert "Edit" not in read(person, f"/plans/{version.plan.key}")
    assert "New plan" not in read(person, "/plans")


def test_a_member_finds_no_editor(acme: Tenant, version: PlanVersion) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    member = signed(user)
    for url in ("/plan-editor", f"/plans/{version.plan.key}/edit"):
        page(member, url, 404)


def _document() -> dict[str, Any]:
    return {
        "plan": "pro",
        "currency": "USD",
        "base_fees": [{"key": "platform", "amount": "10", "timing": "in_advance", "prorate": True}],
        "components": [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.02"}],
    }
