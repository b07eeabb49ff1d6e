"""What a version grants: asked in the path of every call, and shown with what is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from core import clock
from tests.api_client import Api
from tests.lane_client import LaneClient
from tests.scenarios.limits import LimitStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db
QUOTA = {"feature": "tokens_a_month", "type": "metered", "meter": "tokens", "limit": "10"}


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    yield
    clock.use(None)


def entitled(*entitlements: dict[str, Any], zone: str = "UTC", **terms: Any) -> LimitStory:
    return LimitStory(zone, entitlements=list(entitlements), **terms)


def shown(story: LimitStory, **named: str) -> dict[str, dict[str, Any]]:
    body = story.api.get("/v1/entitlements", **(named or {"workspace": "north"})).json()
    return {row["feature"]: row for row in body["entitlements"]}


def subscribe_too(story: LimitStory, entitlement: dict[str, Any]) -> None:
    """A second subscription of north's, which prices another meter."""
    story.meter("seconds")
    story.subscribe(story.payers["north"], story.plan(per_unit("seconds", "1"), entitlements=[entitlement]))


def test_a_quota_stops_at_its_limit_and_says_when_it_resets() -> None:
    story = entitled(QUOTA)
    story.spend(7)
    answer = story.call(4)
    assert (answer.status_code, answer.json()["error"]["code"]) == (402, "entitlement")
    assert answer.json()["denial"] == {
        "reason": "entitlement",
        "level": "entitlement",
        "id": "tokens_a_month",
        "limit": "10",
        "used": "7",
        "resets_at": "2026-04-01T00:00:00Z",
        "retryable": True,
        "top_up_url": None,
    }
    assert story.denial(11)["retryable"] is False
    story.spend(3)
    assert story.denial(1)["used"] == "10"
    story.at(4, 1)
    story.spend(10)
    story.audit()


def test_what_is_shown_obeys_a_scheduled_change_and_pause_before_a_worker_comes_to_them() -> None:
    story = entitled(QUOTA)
    larger = story.plan(
        per_unit("tokens", "1"), per_unit("images", "10"), entitlements=[QUOTA | {"limit": "20"}]
    )
    (row,) = story.api.get("/v1/subscriptions", billing_entity=story.payers["north"]).json()["data"]
    address = f"/v1/subscriptions/{row['id']}"
    assert (
        story.api.post(f"{address}/change", {"plan_version": larger, "at": "period_end"}).status_code == 200
    )
    assert story.api.post(f"{address}/pause", {"at": "2026-04-10T00:00:00Z"}).status_code == 200
    assert shown(story)["tokens_a_month"]["limit"] == "10"
    story.at(4, 1)
    story.spend(15)
    told = shown(story)["tokens_a_month"]
    assert (told["limit"], told["used"], told["remaining"]) == ("20", "15", "5")
    story.at(4, 10)
    assert shown(story) == {}


def test_quotas_are_the_payers_own_and_of_their_meter() -> None:
    story = entitled(QUOTA)
    story.spend(10, "north")
    story.spend(10, "south")
    images = story.event({"images": 50}, "north")
    assert story.api.post("/v1/charges", images).status_code == 201
    assert story.denial(1, "north")["id"] == "tokens_a_month"


def test_a_quota_resets_at_the_local_midnight_of_the_payer() -> None:
    story = entitled(QUOTA, zone="America/New_York")
    story.at(3, 2)
    story.spend(10)
    story.instant("2026-04-01T03:59")
    assert story.denial(1)["resets_at"] == "2026-04-01T04:00:00Z"
    story.instant("2026-04-01T04:00")
    story.spend(10)


@pytest.mark.parametrize(
    ("reset", "resets_at"),
    [("month", "2026-04-01T00:00"), ("quarter", "2026-04-01T00:00"), ("year", "2027-01-01T00:00")],
)
def test_a_quota_has_a_cycle_of_its_own(reset: str, resets_at: str) -> None:
    story = entitled(QUOTA | {"reset": reset})
    story.spend(10)
    assert shown(story)["tokens_a_month"]["resets_at"] == f"{resets_at}:00Z"
    assert story.denial(1)["resets_at"] == f"{resets_at}:00Z"


def test_a_quota_is_anchored_as_the_subscription_is() -> None:
    story = LimitStory()
    version = story.plan(per_unit("tokens", "1"), entitlements=[QUOTA], anchor="subscription")
    story.at(3, 15, 8)
    body = {"customer": story.customer, "name": "p", "currency": "USD"}
    payer = story.api.make("/v1/billing-entities", **body)["id"]
    story.api.make("/v1/subscriptions", billing_entity=payer, plan_version=version)
    story.spend(10, None, billing_entity=payer)
    story.at(4, 14, 23)
    assert story.denial(1, None, billing_entity=payer)["resets_at"] == "2026-04-15T00:00:00Z"
    story.at(4, 15)
    story.spend(10, None, billing_entity=payer)


def test_what_is_reported_counts_and_is_never_refused() -> None:
    story = entitled(QUOTA)
    story.reported(25)
    entry = shown(story)["tokens_a_month"]
    assert (entry["used"], entry["remaining"]) == ("25", "-15")
    assert story.denial(1)["used"] == "25"


def test_a_quota_begins_with_what_its_meter_has_counted_in_the_reset() -> None:
    story = LimitStory()
    story.spend(8)
    subscribe_too(story, QUOTA)
    assert shown(story)["tokens_a_month"]["used"] == "8"
    assert story.denial(3)["used"] == "8"
    story.spend(2)
    assert shown(story)["tokens_a_month"]["used"] == "10"
    story.audit()


def test_quotas_of_two_subscriptions_add_up() -> None:
    story = entitled(QUOTA)
    subscribe_too(story, QUOTA | {"limit": "5"})
    assert shown(story)["tokens_a_month"]["limit"] == "15"
    story.spend(15)
    assert story.denial(1)["limit"] == "15"


def test_usage_taken_back_is_quota_again() -> None:
    story = entitled(QUOTA)
    event = story.event({"tokens": 10}, "north")
    assert story.api.post("/v1/charges", event).status_code == 201
    body = {"event": event["idempotency_key"], "customer": story.customer, "reason": "r"}
    story.api.make("/v1/reversals", idempotency_key="back", **body)
    assert shown(story)["tokens_a_month"]["used"] == "0"
    story.spend(10)
    story.audit()


def test_a_feature_that_is_not_granted_refuses_the_calls_of_its_name() -> None:
    story = entitled({"feature": "images", "type": "boolean", "value": False})
    event = story.event({"images": 1}, "north")
    denial = story.api.post("/v1/charges", event).json()["denial"]
    assert (denial["reason"], denial["level"], denial["id"]) == ("entitlement", "entitlement", "images")
    assert (denial["limit"], denial["used"], denial["resets_at"]) == (None, None, None)
    assert denial["retryable"] is False
    story.spend(5)


def test_a_feature_may_name_the_meter_whose_calls_it_is_about() -> None:
    story = entitled({"feature": "vision", "type": "boolean", "value": False, "meter": "images"})
    assert story.api.post("/v1/charges", story.event({"images": 1}, "north")).status_code == 402
    story.spend(5)


def test_one_subscription_that_grants_a_feature_is_enough() -> None:
    refused = {"feature": "images", "type": "boolean", "value": False}
    story = entitled(refused)
    subscribe_too(story, refused | {"value": True})
    assert story.api.post("/v1/charges", story.event({"images": 1}, "north")).status_code == 201
    assert story.api.post("/v1/charges", story.event({"images": 1}, "south")).status_code == 402
    assert (shown(story)["images"]["value"], shown(story, workspace="south")["images"]["value"]) == (
        True,
        False,
    )


def test_a_static_limit_with_a_meter_bounds_each_call() -> None:
    story = entitled({"feature": "longest_call", "type": "limit", "limit": 100, "meter": "tokens"})
    story.spend(100)
    story.spend(100)
    denial = story.denial(101)
    assert (denial["id"], denial["limit"], denial["retryable"]) == ("longest_call", "100", False)


def test_what_is_no_calls_business_is_only_shown() -> None:
    story = entitled(
        {"feature": "workspaces", "type": "limit", "limit": 5},
        {"feature": "sso", "type": "boolean", "value": True},
    )
    story.spend(500)
    found = shown(story)
    assert (found["workspaces"]["limit"], found["workspaces"]["used"]) == ("5", None)
    assert (found["sso"]["type"], found["sso"]["value"], found["sso"]["limit"]) == ("boolean", True, None)


def test_entitlements_come_before_limits_and_after_the_subscription() -> None:
    story = entitled(QUOTA)
    story.limit("5", workspace="north")
    assert story.denial(11)["reason"] == "entitlement"
    assert story.denial(6)["reason"] == "spend_limit"
    assert story.denial(11, occurred_at="2026-02-28T23:00:00Z")["reason"] == "no_subscription"


def test_a_customers_own_key_sees_its_payers_entitlements_and_no_others() -> None:
    story = entitled(QUOTA)
    story.spend(4)
    _, secret = story.key("north")
    client = LaneClient()
    headers = {"Authorization": f"Bearer {secret}"}
    answer = client.get("/v1/entitlements", headers=headers)
    assert answer.status_code == 200
    assert answer.json()["billing_entity"] == story.payers["north"]
    assert answer.json()["entitlements"][0]["used"] == "4"
    assert client.get("/v1/entitlements?workspace=south", headers=headers).status_code == 404
    assert Api("charges:write").get("/v1/entitlements", workspace="north").status_code == 403


def test_a_pause_gives_nothing_whatever_end_was_planned_in_it() -> None:
    story = entitled(QUOTA)
    (row,) = story.api.get("/v1/subscriptions", billing_entity=story.payers["north"]).json()["data"]
    for verb, body, left in (
        ("pause", {}, []),
        ("cancel", {"at": "period_end"}, []),
        ("resume", {}, ["tokens_a_month"]),
    ):
        answer = story.api.post(f"/v1/subscriptions/{row['id']}/{verb}", body)
        assert answer.status_code == 200, answer.content
        assert list(shown(story)) == left
    story.at(4, 1)
    assert shown(story) == {}
