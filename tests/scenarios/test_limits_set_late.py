"""A spend limit that is set when its window has been spent in already, and when it has not yet."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.scenarios.limits import LimitStory, thresholds
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db


def test_a_limit_that_is_set_late_counts_what_its_window_has_spent(story: LimitStory) -> None:
    key_id, secret = story.key()
    story.spend(3, None, api_key=secret)
    story.spend(4, "north")
    story.spend(2, "south")
    north = story.payers["north"]
    images = story.event({"images": 1}, "north")
    assert story.api.post("/v1/charges", images).status_code == 201
    expected = {
        "3": {"api_key": key_id},
        "17": {"workspace": "north"},
        "7": {"billing_entity": north, "meter": "tokens"},
        "19": {"organization": story.group},
        "2": {"organization": "south-division"},
    }
    for used, owner in expected.items():
        assert story.limit("100", **owner)["used"] == used
    assert story.limit("100", billing_entity=north)["used"] == "17"
    assert story.limit("100", billing_entity=north, window="rolling", hours=24)["used"] == "17"
    assert story.limit("17", workspace="north", window="day")["remaining"] == "0"
    assert story.denial(1)["level"] == "workspace"


def test_thresholds_that_were_passed_before_a_limit_was_set_stay_silent(story: LimitStory) -> None:
    story.spend(60)
    limit = story.limit("100", workspace="north")
    story.spend(10)
    assert story.alerts() == []
    story.spend(10)
    assert thresholds(story.alerts(spend_limit=limit["id"])) == ["80"]


def test_a_rolling_limit_that_is_set_late_counts_what_was_asked_when_it_was(story: LimitStory) -> None:
    story.at(3, 2)
    story.spend(4, occurred_at="2026-03-01T10:00:00Z")
    story.reported(3, occurred_at="2026-03-01T10:00:00Z")
    story.reported(1, occurred_at="2026-03-01T23:00:00Z")
    story.at(3, 2, 1)
    assert story.limit("10", workspace="north", window="rolling", hours=3)["used"] == "5"


def test_a_limit_that_is_set_late_leaves_to_the_operator_what_a_cap_did(story: LimitStory) -> None:
    held = story.api.make("/v1/authorizations", **story.event({"tokens": 6}, "north"))["id"]
    body = {"properties": {"tokens": 9}, "over": "cap"}
    assert story.api.post(f"/v1/authorizations/{held}/capture", body).json()["amount"] == "6"
    assert story.limit("10", workspace="north")["used"] == "6"
    assert story.limit("10", billing_entity=story.payers["north"], meter="tokens")["used"] == "6"


def test_a_limit_that_is_set_before_its_period_has_spent_begins_in_that_period(story: LimitStory) -> None:
    event = story.event({"tokens": 6}, "north")
    assert story.api.post("/v1/charges", event).status_code == 201
    story.at(4, 2)
    owners: list[dict[str, str]] = [{"workspace": "north"}, {"billing_entity": story.payers["north"]}]
    limits = [
        story.limit("10", window=window, **one) for one in owners for window in ("billing_period", "day")
    ]
    body = {"event": event["idempotency_key"], "customer": story.customer, "reason": "r"}
    story.api.make("/v1/reversals", **body)
    assert [story.used(limit) for limit in limits] == [0, 0, 0, 0]


def test_a_limit_begins_in_the_period_of_who_pays_then_whatever_others_periods_are(story: LimitStory) -> None:
    event = story.event({"tokens": 6}, "north")
    assert story.api.post("/v1/charges", event).status_code == 201
    story.at(3, 15)
    anchored = story.plan(per_unit("tokens", "1"), anchor="subscription")
    division = {"customer": story.customer, "name": "East", "currency": "USD"}
    east = story.api.make("/v1/billing-entities", **division)["id"]
    story.api.make("/v1/subscriptions", billing_entity=east, plan_version=anchored)
    story.api.make("/v1/payer-assignments", workspace="north", billing_entity=east)
    story.at(3, 20)
    limit = story.limit("10", workspace="north")
    body = {"event": event["idempotency_key"], "customer": story.customer, "reason": "r"}
    story.api.make("/v1/reversals", **body)
    assert (story.used(limit), story.shown(limit)["resets_at"]) == (0, "2026-04-15T00:00:00Z")


def test_a_meters_limit_set_late_counts_lines_of_calls_that_cost_nothing(story: LimitStory) -> None:
    own = {"billing_entity": story.payers["north"], "meter": "tokens"}
    early = story.limit("20", **own)
    bodies = [story.event(one, "north") for one in ({"images": 1}, {"tokens": 10, "images": -1})]
    amounts = [story.api.post("/v1/charges", body).json()["amount"] for body in bodies]
    assert amounts == ["10", "0"]
    assert (story.used(early), story.limit("20", kind="soft", **own)["used"]) == (10, "10")


def test_a_limit_set_late_finds_what_was_dated_as_far_ahead_as_clocks_may_be(
    story: LimitStory, settings: Any
) -> None:
    settings.EVENT_AHEAD_MAX = timedelta(days=3)
    story.at(3, 30)
    story.reported(6, occurred_at="2026-04-01T12:00:00Z")
    story.at(4, 2)
    assert story.limit("10", workspace="north")["used"] == "6"
