"""The pages of plans, versions, comparisons and subscriptions: what they say, and to whom."""

from __future__ import annotations

import pytest
from django.test import Client

from accounts.users import add_member, create_user
from pricing.models import PlanVersion
from pricing.plans import apply_plan, publish_version
from tests.billing.pages.conftest import GRADUATED, Sign, signed
from tests.billing.pages.reading import page, rows, words
from tests.billing.world import Tenant, make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def second(acme: Tenant, version: PlanVersion) -> PlanVersion:
    """A draft that is dearer in the first tier, with a fee and a trial."""
    dearer = [{"up_to": "1000", "unit_price": "0.012"}, {"up_to": None, "unit_price": "0.005"}]
    content = version.content | {
        "components": [GRADUATED | {"tiers": dearer}],
        "base_fees": [{"key": "platform", "amount": "9", "timing": "in_advance", "prorate": True}],
        "trial": {"days": 14},
    }
    return apply_plan(content)


def addresses(old: PlanVersion, new: PlanVersion) -> list[str]:
    """Every page about the two versions."""
    return [
        "/plans",
        f"/plans/{old.plan.key}",
        f"/plan-versions/{old.public_id}",
        f"/plan-versions/compare?old={old.public_id}&new={new.public_id}",
        "/subscriptions",
    ]


def test_the_list_says_what_is_published_drafted_and_used(staff: Client, second: PlanVersion) -> None:
    text = words(page(staff, "/plans"))
    assert "v2 draft" in text
    assert "v1" in text
    (row,) = rows(staff, "/plans?export=csv")
    assert (row["latest"], row["draft"], row["running"], row["behind"]) == ("1", "2", "1", "0")


def test_who_is_on_an_older_version_is_counted(staff: Client, second: PlanVersion) -> None:
    make_tenant(publish_version(second))
    (row,) = rows(staff, "/plans?export=csv")
    assert (row["latest"], row["running"], row["behind"]) == ("2", "2", "1")
    assert "Some customers are on older versions." in page(staff, f"/plans/{second.plan.key}")


def test_plans_are_filtered_by_currency_and_family(staff: Client, second: PlanVersion) -> None:
    apply_plan({"plan": "euro", "currency": "EUR", "family": "api"})
    assert [row["plan_name"] for row in rows(staff, "/plans?export=csv&currency=EUR")] == ["euro"]
    assert len(rows(staff, "/plans?export=csv&family=api")) == 1
    assert len(rows(staff, "/plans?export=csv&currency=XXX")) == 2


def test_a_version_reads_as_a_price_sheet(staff: Client, version: PlanVersion) -> None:
    text = words(page(staff, f"/plan-versions/{version.public_id}"))
    for said in (
        "Each unit at the price of its own tier",
        "up to 1,000 USD 0.01",
        "above 1,000 USD 0.005",
        "The first 100 of each month are included; tiers count after them.",
        "Trial None",
    ):
        assert said in text, said


def test_a_comparison_shows_both_prices_and_the_change(
    staff: Client, version: PlanVersion, second: PlanVersion
) -> None:
    address = f"/plan-versions/compare?old={version.public_id}&new={second.public_id}"
    text = words(page(staff, address))
    assert "up to 1,000 USD 0.01 USD 0.012 up 20.0%" in text
    assert "above 1,000 USD 0.005 USD 0.005 same" in text
    assert "no value USD 9.00 in advance Added" in text
    same = f"/plan-versions/compare?old={version.public_id}&new={version.public_id}"
    assert "Nothing differs." in page(staff, same)


def test_versions_of_two_plans_are_not_compared(staff: Client, version: PlanVersion) -> None:
    other = apply_plan({"plan": "other", "currency": "USD"})
    page(staff, f"/plan-versions/compare?old={version.public_id}&new={other.public_id}", 404)
    page(staff, "/plan-versions/compare", 404)
    page(staff, f"/plan-versions/compare?old=pv_x&new={other.public_id}", 404)


def test_subscriptions_are_found_by_version_plan_and_name(
    staff: Client, acme: Tenant, second: PlanVersion
) -> None:
    newer = make_tenant(publish_version(second))
    one = rows(staff, f"/subscriptions?export=csv&version={second.public_id}")
    assert [row["customer_name"] for row in one] == [newer.customer.name]
    assert len(rows(staff, f"/subscriptions?export=csv&plan={second.plan.public_id}")) == 2
    assert len(rows(staff, f"/subscriptions?export=csv&q={acme.customer.external_id}")) == 1
    text = words(page(staff, f"/subscriptions?version={second.public_id}"))
    assert newer.payer.name in text
    assert acme.payer.name not in text


@pytest.mark.parametrize("group", ["admin", "finance", "ops", "read_only"])
def test_every_group_of_staff_may_look(
    sign_in: Sign, version: PlanVersion, second: PlanVersion, group: str
) -> None:
    reader = sign_in(group)
    for address in addresses(version, second):
        page(reader, address)


@pytest.mark.parametrize("role", ["owner", "billing", "member"])
def test_a_member_finds_none_of_these_pages(
    acme: Tenant, version: PlanVersion, second: PlanVersion, role: str
) -> None:
    user = create_user(email="member@acme.example")
    add_member(user, acme.customer, role)
    member = signed(user)
    for address in addresses(version, second):
        page(member, address, 404)


def test_who_has_not_signed_in_is_sent_to_do_so(
    client: Client, version: PlanVersion, second: PlanVersion
) -> None:
    for address in addresses(version, second):
        assert client.get(address).status_code == 302, address


@pytest.mark.parametrize("address", ["/plans/nothing", "/plans/plan_00000zzz", "/plan-versions/pv_00000zzz"])
def test_what_is_not_there_is_not_found(staff: Client, address: str) -> None:
    page(staff, address, 404)
