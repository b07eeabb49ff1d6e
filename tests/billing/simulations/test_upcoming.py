"""`/v1/billing-entities/{id}/upcoming`: own usage under the price of now and another one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.keys import issue_api_key
from accounts.scoping import OPERATOR, Viewer
from core import clock
from pricing.cycles import Period
from pricing.models import PlanVersion, Subscription
from pricing.plans import apply_plan
from pricing.simulation import upcoming
from pricing.simulation.coming import Coming
from pricing.simulation.upcoming import upcoming_of
from tests.accounts.caller import Caller, caller_with
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.pricing.simulation.world import charged, event, report

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 4, 11, tzinfo=UTC)  # ten days into a month of thirty
FIRST = datetime(2026, 1, 16, tzinfo=UTC)
OLD: dict[str, list[dict[str, Any]]] = {
    "components": [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}],
    "base_fees": [
        {"key": "platform", "amount": "30", "timing": "in_advance", "prorate": True},
        {"key": "support", "amount": "6", "timing": "in_arrears", "prorate": True},
    ],
}
NEW = {
    "plan": "new",
    "currency": "USD",
    "components": [
        {
            "key": "tok",
            "meter": "tokens",
            "model": "graduated",
            "tiers": [{"up_to": "1000", "unit_price": "0.02"}, {"up_to": None, "unit_price": "0.005"}],
            "minimum": "5",
        }
    ],
    "base_fees": [{"key": "platform", "amount": "25", "timing": "in_advance", "prorate": True}],
}


def _same(instant: datetime) -> datetime:
    return instant


in_april = standing_at(NOW)


@pytest.fixture
def tenant() -> Tenant:
    """On the old version since January 16th; 100, 200, 300 units a month, and 500 in April so far."""
    clock.use(lambda: FIRST)
    make_meter(created_at=FIRST)
    made = make_tenant(make_version(OLD["components"], base_fees=OLD["base_fees"]), starts_at=FIRST)
    for month, tokens in ((1, 100), (2, 200), (3, 300), (4, 500)):
        at = datetime(2026, month, 20 if month < 4 else 5, tzinfo=UTC)
        clock.use(partial(_same, at))
        report(made, event(f"k{month}", at, str(tokens)))
    clock.use(lambda: NOW)
    return made


@pytest.fixture
def draft(tenant: Tenant) -> PlanVersion:
    return apply_plan(NEW)


def shown(tenant: Tenant, **parameters: str) -> dict[str, Any]:
    """The one subscription of the answer."""
    answer = caller_with("read").get(f"/v1/billing-entities/{tenant.payer.public_id}/upcoming", **parameters)
    assert answer.status == 200, answer.body
    assert answer.json["as_of"] == "2026-04-11T00:00:00Z"
    (subscription,) = answer.json["subscriptions"]
    found: dict[str, Any] = subscription
    return found


def amounts(statement: dict[str, Any], side: str) -> dict[str, str | None]:
    return {line["key"]: line[side] and line[side]["amount"] for line in statement["lines"]}


def test_without_a_change_the_current_price_stands_alone(tenant: Tenant) -> None:
    found = shown(tenant)
    assert found["upcoming_version"] is None
    period = found["current_period"]
    assert (period["start"], period["end"]) == ("2026-04-01T00:00:00Z", "2026-05-01T00:00:00Z")
    # Fees in advance are paid, those in arrears are not due; 500 units at 0.01.
    assert amounts(period["so_far"], "current") == {"platform": "30", "tok": "5"}
    assert period["so_far"]["current"] == "35"
    assert period["so_far"]["upcoming"] is None
    # 500 units in ten days, so 1,500 in thirty.
    assert amounts(period["projection"], "current") == {"platform": "30", "support": "6", "tok": "15"}
    assert period["projection"]["current"] == "51"


def test_the_last_periods_come_to_what_was_charged(tenant: Tenant) -> None:
    last = shown(tenant)["last_periods"]
    assert [statement["start"][:10] for statement in last] == ["2026-03-01", "2026-02-01", "2026-01-16"]
    assert [amounts(statement, "current")["tok"] for statement in last] == ["3", "2", "1"]
    assert sum(Decimal(amounts(one, "current")["tok"] or 0) for one in last) == Decimal(6)
    assert last[0]["current"] == "39"
    # The first one has 16 of 31 days: 30 x 16/31 and 6 x 16/31.
    assert amounts(last[2], "current") == {
        "platform": "15.483870967741935484",
        "support": "3.096774193548387097",
        "tok": "1",
    }


def test_another_version_stands_beside_it_line_by_line(tenant: Tenant, draft: PlanVersion) -> None:
    found = shown(tenant, plan_version=draft.public_id)
    assert found["upcoming_version"] == draft.public_id
    assert found["effective_at"] is None
    so_far, projection = found["current_period"]["so_far"], found["current_period"]["projection"]
    assert amounts(so_far, "upcoming") == {"platform": "25", "tok": "10"}
    assert (so_far["current"], so_far["upcoming"], so_far["difference"]) == ("35", "35", "0")
    # 1,000 at 0.02 and 500 at 0.005.
    assert amounts(projection, "upcoming") == {"platform": "25", "tok": "22.5", "support": None}
    by_key = {line["key"]: line["difference"] for line in projection["lines"]}
    assert by_key == {"platform": "-5", "tok": "7.5", "support": "-6"}
    assert projection["difference"] == "-3.5"
    march, february, january = found["last_periods"]
    assert amounts(march, "upcoming")["tok"] == "6"
    assert amounts(february, "upcoming")["tok"] == "5"  # 4, and the minimum is 5
    # The minimum of the first period is its share of time: 5 x 16/31.
    assert amounts(january, "upcoming")["tok"] == "2.580645161290322581"
    assert march["difference"] == str(25 + 6 - 30 - 6 - 3)


def test_content_that_is_stored_nowhere_can_stand_beside_it(tenant: Tenant) -> None:
    content = {
        "plan": "calls",
        "currency": "USD",
        "meters": [{"key": "every", "event": "completion", "aggregation": "count"}],
        "components": [{"key": "call", "meter": "every", "model": "per_unit", "unit_price": "2"}],
    }
    path = f"/v1/billing-entities/{tenant.payer.external_id}/upcoming"
    answer = caller_with("read").post(path, content)
    assert answer.status == 200, answer.body
    (found,) = answer.json["subscriptions"]
    assert found["upcoming_version"] == "content"
    assert amounts(found["current_period"]["so_far"], "upcoming") == {
        "call": "2",
        "platform": None,
        "tok": None,
    }
    # One call in ten days: two more in twenty.
    assert amounts(found["current_period"]["projection"], "upcoming")["call"] == "6"
    assert not PlanVersion.objects.filter(plan__key="calls").exists()


def test_a_change_that_is_coming_is_shown_with_its_day(tenant: Tenant, draft: PlanVersion) -> None:
    day = datetime(2026, 5, 1, tzinfo=UTC)
    (found,) = upcoming_of(
        tenant.payer, OPERATOR, NOW, coming=lambda ids, now: {pk: Coming(draft, day) for pk in ids}
    )
    assert found.upcoming is not None
    assert (found.upcoming.label, found.effective_at) == (draft.public_id, day)
    assert found.projection.difference == Decimal("-3.5")


def test_the_upcoming_side_equals_what_is_charged_afterwards(tenant: Tenant, draft: PlanVersion) -> None:
    (found,) = upcoming_of(
        tenant.payer, OPERATOR, NOW, coming=lambda ids, now: {pk: Coming(draft, NOW) for pk in ids}
    )
    beside = make_tenant(draft, starts_at=datetime(2026, 4, 1, tzinfo=UTC))
    report(beside, event("same", datetime(2026, 4, 5, tzinfo=UTC), "500"))
    (line,) = [line for line in found.so_far.lines if line.key == "tok"]
    assert line.upcoming is not None
    from_april = datetime(2026, 4, 1, tzinfo=UTC)
    assert line.upcoming.amount == charged(beside, Period(from_april, NOW)) == Decimal(10)


def test_another_cycle_is_compared_by_its_share_of_time(tenant: Tenant) -> None:
    yearly = {"plan": "yearly", "currency": "USD", "interval": "year"}
    fees = [{"key": "platform", "amount": "365", "timing": "in_advance", "prorate": False}]
    version = apply_plan(yearly | {"base_fees": fees})
    found = shown(tenant, plan_version=version.public_id)
    assert amounts(found["current_period"]["projection"], "upcoming")["platform"] == "30"
    assert amounts(found["last_periods"][1], "upcoming")["platform"] == "28"


def test_the_week_before_counts_when_a_period_has_just_begun(tenant: Tenant, draft: PlanVersion) -> None:
    at = datetime(2026, 4, 29, tzinfo=UTC)
    clock.use(lambda: at)
    report(tenant, event("late april", at, "70"))
    clock.use(lambda: datetime(2026, 5, 2, tzinfo=UTC))
    (found,) = upcoming_of(tenant.payer, OPERATOR, clock.now())
    (line,) = [line for line in found.projection.lines if line.key == "tok"]
    assert line.current is not None
    # 70 in the last seven days, none of it in May: ten a day for the thirty days to come.
    assert line.current.quantity == 300


def test_a_payer_without_a_subscription_has_nothing_to_show(tenant: Tenant) -> None:
    nobody = make_tenant()
    answer = caller_with("read").get(f"/v1/billing-entities/{nobody.payer.public_id}/upcoming")
    assert answer.json["subscriptions"] == []


def test_every_running_subscription_is_shown(tenant: Tenant, draft: PlanVersion) -> None:
    make_meter("calls", aggregation="count")
    other = make_version([{"key": "call", "meter": "calls", "model": "per_unit", "unit_price": "1"}])
    for ends_at in (None, NOW - timedelta(days=1)):
        Subscription.objects.create(
            customer=tenant.customer,
            billing_entity=tenant.payer,
            version=other,
            starts_at=FIRST,
            ends_at=ends_at,
            anchor_at=FIRST,
            created_at=FIRST,
        )
    path = f"/v1/billing-entities/{tenant.payer.public_id}/upcoming"
    answer = caller_with("read").get(path, plan_version=draft.public_id)
    # The draft prices tokens, so it would replace the subscription that prices tokens.
    assert [one["upcoming_version"] for one in answer.json["subscriptions"]] == [draft.public_id, None]


def test_it_is_found_only_by_those_who_may_see_it(tenant: Tenant) -> None:
    path = f"/v1/billing-entities/{tenant.payer.public_id}/upcoming"
    key = issue_api_key(workspace=tenant.workspace, name="k").secret
    assert Caller(key).get(path).status in (401, 403)
    assert caller_with("events:write").get(path).status == 403
    assert caller_with("read").get("/v1/billing-entities/be_nobody/upcoming").status == 404
    assert caller_with("read").get(path, plan_version="pv_nothing").status == 404
    stranger = Viewer(False, frozenset({make_tenant().customer.pk}))
    assert upcoming_of(tenant.payer, stranger, NOW) == []


def test_its_statements_do_not_grow_with_usage(tenant: Tenant, draft: PlanVersion) -> None:
    caller = caller_with("read")
    path = f"/v1/billing-entities/{tenant.payer.public_id}/upcoming"
    assert caller.get(path).status == 200  # the key is in memory from now on

    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert caller.get(path, plan_version=draft.public_id).status == 200
        return len(queries)

    before = statements()
    report(tenant, *[event(f"more {n}", NOW - timedelta(hours=n + 1), "1") for n in range(30)])
    assert caller.get(path).status == 200  # a meter's first use is a change: the key is read anew
    assert statements() == before <= 14


def test_what_is_asked_wrongly_is_refused(tenant: Tenant) -> None:
    caller = caller_with("read")
    path = f"/v1/billing-entities/{tenant.payer.public_id}/upcoming"
    assert caller.get(path, version="x").error["code"] == "unknown_parameter"
    assert caller.post(path, {"plan": "x"}).status == 400
    assert caller.post(path, [1]).status == 400
    unknown = {"plan": "x", "currency": "USD", "components": [{"key": "a", "meter": "none"}]}
    assert caller.post(path, unknown).status in (400, 422)


def test_more_events_than_can_be_read_for_a_page_are_refused(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upcoming, "EVENTS_MAX", 2)
    content = {
        "plan": "p",
        "currency": "USD",
        "components": [
            {"key": "c", "meter": "tokens", "model": "percentage", "rate": "1", "free_amount": "1"}
        ],
    }
    path = f"/v1/billing-entities/{tenant.payer.public_id}/upcoming"
    answer = caller_with("read").post(path, content)
    assert (answer.status, answer.error["code"]) == (413, "too_many_events")
