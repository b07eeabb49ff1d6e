""" "Your price is changing": a customer's own usage under both prices, before it bills, and its answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.scoping import OPERATOR
from accounts.users import add_member, create_user
from billing.charging import Mode
from billing.reports.coming_prices import coming_prices
from billing.rollouts import announce_rollout, cancel_rollout, draft_rollout, except_members
from core import clock
from pricing.models import PlanVersion, Rollout
from pricing.plans import apply_plan, publish_version
from tests.billing.pages.conftest import GRADUATED, NOW, Sign, now_is, signed
from tests.billing.pages.reading import page, read, words
from tests.billing.world import Tenant, charge, make_meter, make_tenant

pytestmark = pytest.mark.django_db
D = Decimal
MARCH = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def acme(version: PlanVersion) -> Tenant:
    """A customer in UTC since October, with usage in November and in January."""
    tenant = make_tenant(version, starts_at=datetime(2025, 10, 1, tzinfo=UTC))
    now_is(datetime(2025, 11, 5, tzinfo=UTC))
    charge(tenant, "november", Mode.REPORT, properties={"tokens": 600})
    now_is(NOW - timedelta(hours=3))
    charge(tenant, "january", Mode.REPORT, properties={"tokens": 300})
    now_is(NOW)
    return tenant


@pytest.fixture
def second(version: PlanVersion) -> PlanVersion:
    """The next version: nothing is included any more, each unit costs 0.02, and the operator has a floor."""
    dearer = GRADUATED | {"tiers": [{"up_to": None, "unit_price": "0.02"}], "included": "0"}
    floor = {"min_margin": "0.2", "action": "notify"}
    return publish_version(apply_plan(version.content | {"components": [dearer], "margin_floor": floor}))


@pytest.fixture
def announced(acme: Tenant, second: PlanVersion) -> Rollout:
    """A price change for 1 March, of which the customer has been told."""
    return announce_rollout(draft_rollout(second, timing="on_date", name="Spring", effective_at=MARCH))


def member_of(tenant: Tenant, role: str = "owner") -> Client:
    """Somebody of the customer."""
    user = create_user(email=f"{role}{tenant.customer.pk}@acme.example")
    add_member(user, tenant.customer, role)
    return signed(user)


def answer(client: Client, row: Rollout, status: int = 200, limits: dict[str, str] | None = None) -> str:
    """What the page says after an answer."""
    data = {"member": row.members.get().public_id, **(limits or {})}
    response: Any = client.post("/price-change", data, follow=True)
    assert response.status_code == status
    return words(response.content.decode())


def test_every_period_stands_under_both_prices_to_the_cent(acme: Tenant, announced: Rollout) -> None:
    (coming,) = coming_prices(OPERATOR, [acme.payer], clock.now())
    assert coming.upcoming.effective_at == MARCH
    found = [(kind, one.start, one.current, one.upcoming, one.difference) for kind, one in coming.statements]
    october, november, december = (datetime(2025, month, 1, tzinfo=UTC) for month in (10, 11, 12))
    assert found[:4] == [
        ("past", october, D(0), D(0), D(0)),
        ("past", november, D(5), D(12), D(7)),  # 500 x 0.01, then 600 x 0.02
        ("past", december, D(0), D(0), D(0)),
        ("so_far", datetime(2026, 1, 1, tzinfo=UTC), D(2), D(6), D(4)),  # 200 x 0.01, then 300 x 0.02
    ]
    kind, _, current, upcoming, _ = found[4]
    assert (kind, current > 2, upcoming is not None and upcoming > 6) == ("projection", True, True)
    assert coming.overages == [("tokens", "tokens", D(100))]


def test_the_member_reads_it_on_a_page_of_its_own(acme: Tenant, announced: Rollout) -> None:
    client = member_of(acme)
    text = read(client, "/price-change")
    for said in (
        "Your price is changing",
        "From 1 Mar 2026 UTC",
        "Nov 2025 USD 5.00 USD 12.00 USD 7.00 up 140.0%",
        "This period so far USD 2.00 USD 6.00 USD 4.00 up 200.0%",
        "tokens 600 USD 5.00 USD 12.00 USD 7.00",
        "The new price charges for what was free or refused until now.",
        "Until now 100.",
    ):
        assert said in text, said
    assert "Your price is changing on 1 Mar 2026 UTC" in read(client, "/")


def test_what_is_the_operators_own_is_not_shown(acme: Tenant, announced: Rollout) -> None:
    text = read(member_of(acme), "/price-change")
    assert "margin" not in text.lower()
    assert "cost" not in text.lower().replace("begins to cost", "")


def test_before_the_notice_a_member_sees_nothing_and_staff_do(
    staff: Client, acme: Tenant, second: PlanVersion
) -> None:
    announce_rollout(
        draft_rollout(
            second, timing="on_date", effective_at=MARCH, notice_at=datetime(2026, 1, 20, tzinfo=UTC)
        )
    )
    assert "No price change is coming" in read(member_of(acme), "/price-change")
    assert "Your price is changing" not in read(member_of(acme, "billing"), "/")
    text = read(staff, f"/customers/{acme.customer.public_id}/price-change")
    assert "The customer has not been told yet." in text
    assert "USD 5.00 USD 12.00" in text


def test_staff_see_a_customer_under_any_version(staff: Client, acme: Tenant, second: PlanVersion) -> None:
    address = f"/customers/{acme.customer.public_id}/price-change"
    assert "No price change is coming" in read(staff, address)
    text = read(staff, f"{address}/{second.public_id}")
    assert "As if it came:" in text
    assert "USD 5.00 USD 12.00" in text
    page(staff, f"{address}/pv_x", 404)
    other = publish_version(apply_plan({"plan": "euro", "currency": "EUR"}))
    assert "No price change is coming" in read(staff, f"{address}/{other.public_id}")


def test_staff_see_which_price_change_it_is_and_what_was_answered(
    staff: Client, acme: Tenant, announced: Rollout
) -> None:
    address = f"/customers/{acme.customer.public_id}/price-change"
    assert "Notified Spring, told 15 Jan 2026 UTC, not accepted yet." in read(staff, address)
    assert announced.members.get().public_id in page(staff, address)
    answer(member_of(acme), announced)
    said = f"accepted 15 Jan 2026 UTC by owner{acme.customer.pk}@acme.example."
    assert said in read(staff, address)


def test_an_old_ceiling_is_spoken_of_only_where_there_is_one(acme: Tenant, version: PlanVersion) -> None:
    make_meter("calls", aggregation="count", name="Calls")
    per_call = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": "0.01"}
    more = publish_version(apply_plan(version.content | {"components": [GRADUATED, per_call]}))
    announce_rollout(draft_rollout(more, timing="on_date", effective_at=MARCH))
    text = read(member_of(acme), "/price-change")
    assert "Limit on Calls optional Each period. Calls beyond it are refused; empty: no limit." in text
    assert "your old ceiling stays" not in text
    assert "Your price is changing" in text


def test_a_period_that_is_no_month_is_called_by_its_days(version: PlanVersion) -> None:
    tenant = make_tenant(version, starts_at=datetime(2025, 12, 11, tzinfo=UTC))
    now_is(datetime(2025, 12, 20, tzinfo=UTC))
    charge(tenant, "december", Mode.REPORT, properties={"tokens": 600})
    now_is(NOW)
    dearer = GRADUATED | {"tiers": [{"up_to": None, "unit_price": "0.02"}]}
    second = publish_version(apply_plan(version.content | {"components": [dearer]}))
    announce_rollout(draft_rollout(second, timing="on_date", effective_at=MARCH))
    assert "11 Dec to 31 Dec 2025 USD 5.00 USD 10.00" in read(member_of(tenant), "/price-change")


def test_it_is_accepted_without_a_limit(acme: Tenant, announced: Rollout) -> None:
    client = member_of(acme)
    assert "Accepted." in answer(client, announced)
    member = announced.members.get()
    assert (member.state, member.acknowledged_at, member.limits) == ("acknowledged", NOW, {})
    assert member.acknowledged_by == f"owner{acme.customer.pk}@acme.example"
    assert "Accepted on 15 Jan 2026" in read(client, "/price-change")


def test_it_is_accepted_with_a_limit_which_may_be_changed(acme: Tenant, announced: Rollout) -> None:
    client = member_of(acme, "billing")
    answer(client, announced, limits={"limit-tokens": "500"})
    assert announced.members.get().limits == {"tokens": "500"}
    field = '<input type="text" name="limit-tokens" value="500"'
    assert field in page(client, "/price-change"), "what stands is not taken away by changing it"
    answer(client, announced, limits={"limit-tokens": "700"})
    assert announced.members.get().limits == {"tokens": "700"}


@pytest.mark.parametrize("limit", ["-1", "many", "1e40", "NaN"])
def test_a_limit_that_makes_no_sense_changes_nothing(acme: Tenant, announced: Rollout, limit: str) -> None:
    assert "Nothing was changed." in answer(member_of(acme), announced, limits={"limit-tokens": limit})
    assert announced.members.get().acknowledged_at is None


def test_a_mere_member_reads_and_does_not_answer(acme: Tenant, announced: Rollout) -> None:
    client = member_of(acme, "member")
    text = read(client, "/price-change")
    assert "An owner or somebody of billing" in text
    assert "Accept" not in text.replace("Accepted", "").replace("accept.", "")
    answer(client, announced, status=403)
    assert announced.members.get().acknowledged_at is None


def test_nobody_answers_for_another_customer(acme: Tenant, version: PlanVersion, announced: Rollout) -> None:
    stranger = member_of(make_tenant(version))
    assert "No price change is coming" in read(stranger, "/price-change")
    asked = read(stranger, f"/price-change?customer={acme.customer.public_id}")
    assert "No price change is coming" in asked
    answer(stranger, announced, status=404)
    assert stranger.post("/price-change", {"member": "rom_x"}).status_code == 404
    assert stranger.post("/price-change").status_code == 404
    assert announced.members.get().acknowledged_at is None


def test_a_change_that_does_not_come_is_not_shown(acme: Tenant, announced: Rollout) -> None:
    client = member_of(acme)
    assert acme.subscription is not None
    except_members(announced, [acme.subscription], reason="Negotiated")
    assert "No price change is coming" in read(client, "/price-change")
    assert "is excepted" in answer(client, announced)


def test_a_canceled_change_is_gone(acme: Tenant, announced: Rollout) -> None:
    client = member_of(acme)
    cancel_rollout(announced)
    assert "No price change is coming" in read(client, "/price-change")
    assert "Your price is changing" not in read(client, "/")


def test_staff_go_home_and_strangers_sign_in(staff: Client, client: Client, announced: Rollout) -> None:
    assert staff.get("/price-change")["Location"] == "/"
    assert client.get("/price-change")["Location"].startswith("/accounts/login/")


def test_only_staff_see_a_customers_tab(sign_in: Sign, acme: Tenant, announced: Rollout) -> None:
    address = f"/customers/{acme.customer.public_id}/price-change"
    for group in ("admin", "finance", "ops", "read_only"):
        assert "USD 5.00 USD 12.00" in read(sign_in(group), address)
    page(member_of(acme), address, 404)
