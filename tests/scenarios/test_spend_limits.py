"""Spend limits as the operator and the customer live with them."""

from __future__ import annotations

import pytest

from billing.models import Denial, OutboxMessage
from tests.scenarios.limits import LimitStory, thresholds
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db


def test_the_refusal_says_whose_limit_it_is_what_is_used_and_when_it_resets(story: LimitStory) -> None:
    story.limit("10", workspace="north", window="day")
    story.spend(8)
    workspace = story.api.get("/v1/workspaces/north").json()["id"]
    answer = story.call(3)
    assert answer.status_code == 402
    assert answer.json()["error"]["code"] == "spend_limit"
    assert answer.json()["denial"] == {
        "reason": "spend_limit",
        "level": "workspace",
        "id": workspace,
        "limit": "10",
        "used": "8",
        "resets_at": "2026-03-02T00:00:00Z",
        "retryable": True,
        "top_up_url": None,
    }
    (row,) = story.api.get("/v1/denials").json()["data"]
    assert (row["reason"], row["level"], row["level_id"]) == ("spend_limit", "workspace", workspace)
    assert (row["limit"], row["used"], row["retryable"]) == ("10", "8", True)
    assert row["resets_at"] == "2026-03-02T00:00:00Z"
    story.spend(2)
    assert story.denial(1)["used"] == "10"


def test_what_is_more_than_the_whole_limit_is_not_worth_another_try(story: LimitStory) -> None:
    story.limit("10", workspace="north", window="day")
    assert story.denial(11)["retryable"] is False
    assert list(Denial.objects.values_list("retryable", flat=True)) == [False]


def test_the_first_level_that_refuses_is_named(story: LimitStory) -> None:
    key_id, secret = story.key()
    north = story.payers["north"]
    division = story.api.get("/v1/organizations/north-division").json()["id"]
    meter = story.api.get("/v1/meters").json()["data"]
    tokens = next(row["id"] for row in meter if row["key"] == "tokens")
    workspace = story.api.get("/v1/workspaces/north").json()["id"]
    owners = (
        ({"billing_entity": north}, "billing_entity", north),
        ({"organization": story.group}, "organization", story.group),
        ({"organization": "north-division"}, "organization", division),
        ({"billing_entity": north, "meter": "tokens"}, "meter", tokens),
        ({"workspace": "north"}, "workspace", workspace),
        ({"api_key": key_id}, "api_key", key_id),
    )
    for owner, level, level_id in owners:
        story.limit("5", **owner)
        denial = story.denial(6, None, api_key=secret)
        assert (denial["level"], denial["id"]) == (level, level_id)


def test_reasons_come_in_order_before_and_after_limits(story: LimitStory) -> None:
    north = story.payers["north"]
    story.limit("5", workspace="north")
    assert story.denial(200_000)["reason"] == "spend_limit"  # and the wallet has not so much either
    assert story.denial(6, occurred_at="2026-02-28T23:00:00Z")["reason"] == "no_subscription"
    story.change(f"/v1/billing-entities/{north}", status="suspended", status_reason="fraud")
    assert story.denial(6)["reason"] == "suspended"
    story.change(f"/v1/billing-entities/{north}", status="active")
    story.spend(5)


def test_an_organizations_limit_spans_its_payers(story: LimitStory) -> None:
    limit = story.limit("10", organization=story.group)
    story.spend(4, "north")
    story.spend(5, "south")
    denial = story.denial(2, "north")
    assert (denial["level"], denial["used"]) == ("organization", "9")
    story.spend(1, "north")
    assert story.denial(1, "south")["used"] == "10"
    assert story.used(limit) == 10


def test_a_divisions_limit_leaves_the_other_alone(story: LimitStory) -> None:
    story.limit("10", organization="north-division")
    story.spend(10, "north")
    assert story.denial(1, "north")["level"] == "organization"
    story.spend(100, "south")


def test_a_meters_limit_counts_the_lines_of_its_meter(story: LimitStory) -> None:
    north = story.payers["north"]
    story.limit("20", billing_entity=north, meter="images")
    story.spend(500)
    both = story.event({"tokens": 3, "images": 2}, "north")
    assert story.api.post("/v1/charges", both).status_code == 201
    one_more = story.event({"tokens": 3, "images": 1}, "north")
    denial = story.api.post("/v1/charges", one_more).json()["denial"]
    assert (denial["level"], denial["limit"], denial["used"]) == ("meter", "20", "20")
    story.spend(3)


def test_a_key_has_its_own_limit(story: LimitStory) -> None:
    key_id, secret = story.key()
    _, other = story.key()
    story.limit("10", api_key=key_id)
    story.spend(10, None, api_key=secret)
    assert story.denial(1, None, api_key=secret)["level"] == "api_key"
    story.spend(50, None, api_key=other)
    story.spend(50)


def test_what_is_reported_counts_and_is_never_refused(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    story.reported(25)
    assert story.used(limit) == 25
    assert story.shown(limit)["remaining"] == "-15"
    assert story.denial(1)["used"] == "25"


def test_a_soft_limit_only_notifies(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north", kind="soft")
    story.spend(25)
    assert thresholds(story.alerts(spend_limit=limit["id"])) == ["50", "80", "95", "100"]


def test_a_call_that_costs_nothing_passes_a_full_limit(story: LimitStory) -> None:
    story.limit("10", workspace="north")
    story.spend(10)
    story.spend(0)
    assert story.denial(1)["used"] == "10"


def test_a_change_counts_in_the_next_call_and_keeps_what_was_used(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    story.spend(10)
    story.change(f"/v1/spend-limits/{limit['id']}", amount="12")
    story.spend(2)
    assert story.denial(1)["limit"] == "12"
    story.change(f"/v1/spend-limits/{limit['id']}", kind="soft")
    story.spend(100)
    ended = story.api.post(f"/v1/spend-limits/{limit['id']}/end", {})
    assert ended.status_code == 200
    assert ended.json()["ended_at"] == "2026-03-01T00:00:00Z"
    assert story.patch(f"/v1/spend-limits/{limit['id']}", amount="1").status_code == 409
    assert story.limit("500", workspace="north")["used"] == "112"


def test_alerts_fire_once_per_threshold_and_window_and_again_in_the_next(story: LimitStory) -> None:
    limit = story.limit("100", workspace="north", window="day")
    for tokens in (49, 1, 20, 10, 15, 5):
        story.spend(tokens)
    assert story.denial(1)["used"] == "100"
    assert thresholds(story.alerts()) == ["50", "80", "95", "100"]
    story.at(3, 2)
    story.spend(85)
    story.reported(50)
    assert thresholds(story.alerts()) == ["50", "80", "95", "100"] * 2
    first, last = story.alerts()[0], story.alerts()[-1]
    assert (first["kind"], first["spend_limit"], first["used"]) == ("spend_limit", limit["id"], "50")
    assert (first["limit"], first["currency"], first["level"]) == ("100", "USD", "workspace")
    assert (first["starts_at"], first["ends_at"]) == ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
    assert (last["used"], last["starts_at"]) == ("135", "2026-03-02T00:00:00Z")
    messages = OutboxMessage.objects.filter(kind="alert.spend_limit").order_by("id")
    assert [message.payload["threshold"] for message in messages] == ["50", "80", "95", "100"] * 2


def test_one_charge_that_passes_several_thresholds_fires_each(story: LimitStory) -> None:
    story.limit("100", workspace="north")
    story.spend(96)
    assert thresholds(story.alerts()) == ["50", "80", "95"]


def test_a_raised_limit_alerts_anew_from_where_it_stands(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    story.spend(10)
    story.change(f"/v1/spend-limits/{limit['id']}", amount="20")
    story.spend(5)
    assert thresholds(story.alerts()) == ["50", "80", "95", "100"]
    story.spend(1)
    assert thresholds(story.alerts())[4:] == ["80"]


def test_thresholds_may_be_ones_own(story: LimitStory) -> None:
    story.limit("100", workspace="north", kind="soft", thresholds=[120, 10, 10])
    story.spend(100)
    assert thresholds(story.alerts()) == ["10"]
    story.spend(20)
    assert thresholds(story.alerts()) == ["10", "120"]


def test_a_customer_stays_within_what_staff_set(story: LimitStory) -> None:
    staff = story.limit("100", workspace="north")
    refused = story.api.post(
        "/v1/spend-limits", {"workspace": "north", "amount": "101", "set_by": "customer"}
    )
    assert refused.status_code == 422
    assert (refused.json()["error"]["code"], refused.json()["error"]["param"]) == ("above_ceiling", "amount")
    own = story.limit("40", workspace="north", set_by="customer")
    assert story.patch(f"/v1/spend-limits/{own['id']}", amount="100.01").status_code == 422
    story.change(f"/v1/spend-limits/{own['id']}", amount="50")
    story.spend(50)
    assert story.denial(1)["limit"] == "50"
    story.change(f"/v1/spend-limits/{staff['id']}", amount="30")
    story.change(f"/v1/spend-limits/{own['id']}", kind="soft", amount="20")
    assert story.denial(1)["limit"] == "30"


def test_payers_of_two_currencies_are_bounded_in_each(story: LimitStory) -> None:
    division = {"customer": story.customer, "organization": story.group}
    yen = story.api.make("/v1/billing-entities", name="East", currency="JPY", overdraft="0", **division)["id"]
    story.api.make("/v1/workspaces", external_id="east", billing_entity=yen, **division)
    story.subscribe(yen, story.plan(per_unit("tokens", "1"), currency="JPY"))
    story.top_up(yen, "5000")
    story.limit("5", organization=story.group, currency="USD")
    own = {"organization": story.group, "currency": "JPY", "set_by": "customer"}
    story.limit("2000", **own, window="day")
    of_yen = story.limit("1000", organization=story.group, currency="JPY")
    refused = story.api.post("/v1/spend-limits", own | {"amount": "1001"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "above_ceiling")
    story.limit("900", **own)
    twice = story.api.post("/v1/spend-limits", own | {"amount": "1"})
    assert (twice.status_code, twice.json()["error"]["code"]) == (409, "already_exists")
    story.spend(900, "east")
    assert story.denial(1, "east")["limit"] == "900"
    story.spend(5)
    assert story.denial(1)["limit"] == "5"
    assert story.used(of_yen) == 900


def test_a_moved_workspace_takes_its_limit_along(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    story.spend(6)
    story.api.make(
        "/v1/payer-assignments",
        workspace="north",
        billing_entity=story.payers["south"],
        starts_at="2026-03-01T00:00:00Z",
    )
    assert story.denial(5)["level"] == "workspace"
    story.spend(4)
    assert story.used(limit) == 10


def test_a_workspace_that_changes_its_division_counts_there_from_then_on(story: LimitStory) -> None:
    north = story.limit("10", organization="north-division")
    south = story.limit("10", organization="south-division")
    story.spend(10, "north")
    story.change("/v1/workspaces/north", organization="south-division")
    story.spend(4, "north")
    assert (story.used(north), story.used(south)) == (10, 4)
    assert story.denial(7, "south")["level"] == "organization"


def test_a_call_that_names_only_its_payer_counts_in_the_payers_organization(story: LimitStory) -> None:
    story.limit("10", organization="north-division")
    story.spend(6, None, billing_entity=story.payers["north"])
    assert story.denial(5, "north")["used"] == "6"


def test_usage_taken_back_is_room_again(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    event = story.event({"tokens": 10}, "north")
    assert story.api.post("/v1/charges", event).status_code == 201
    assert story.denial(1)["used"] == "10"
    body = {"event": event["idempotency_key"], "customer": story.customer, "reason": "r"}
    story.api.make("/v1/reversals", idempotency_key="back", **body)
    assert story.used(limit) == 0
    story.spend(10)


def test_low_balances_alert_each_time_the_wallet_falls_below_them(story: LimitStory) -> None:
    north = story.payers["north"]
    story.change(f"/v1/billing-entities/{north}", low_balance=["99990", "99999.5"])
    story.spend(1)
    assert thresholds(story.alerts()) == ["99999.5"]
    story.spend(9)
    assert thresholds(story.alerts()) == ["99999.5"]
    story.spend(1)
    assert thresholds(story.alerts()) == ["99999.5", "99990"]
    story.spend(1)
    story.top_up(north, "5")
    story.spend(4)
    assert thresholds(story.alerts(kind="low_balance")) == ["99999.5", "99990", "99990"]
    alert = story.alerts()[-1]
    assert (alert["billing_entity"], alert["level"], alert["used"]) == (north, "billing_entity", "99989")
    assert OutboxMessage.objects.filter(kind="alert.low_balance").count() == 3


def test_a_call_that_asked_and_is_taken_back_gives_room_where_it_took_it(story: LimitStory) -> None:
    story.at(3, 2)
    limit = story.limit("10", workspace="north", window="rolling", hours=3)
    event = story.event({"tokens": 6}, "north", occurred_at="2026-03-01T10:00:00Z")
    assert story.api.post("/v1/charges", event).status_code == 201
    assert story.used(limit) == 6
    story.at(3, 2, 1)
    body = {"event": event["idempotency_key"], "customer": story.customer, "reason": "r"}
    story.api.make("/v1/reversals", **body)
    assert story.used(limit) == 0
    story.spend(10)
