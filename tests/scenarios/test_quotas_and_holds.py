"""A version that brings a quota while calls are held: what was promised of its meter counts in it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing.models import LimitHold
from core import clock
from tests.billing.authorizing import table
from tests.scenarios.limits import LimitStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db
DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/limits.md"
QUOTA = {"feature": "tokens_a_month", "type": "metered", "meter": "tokens", "limit": "10"}


@pytest.fixture
def story() -> Iterator[LimitStory]:
    told = LimitStory()
    yield told
    told.audit()
    clock.use(None)


def version(story: LimitStory, *entitlements: dict[str, Any]) -> str:
    return story.plan(per_unit("tokens", "1"), per_unit("images", "10"), entitlements=list(entitlements))


def move(story: LimitStory, plan_version: str, **change: Any) -> None:
    """Change north's plan, now or `at`."""
    (row,) = story.api.get("/v1/subscriptions", billing_entity=story.payers["north"]).json()["data"]
    body = {"plan_version": plan_version} | change
    answer = story.api.post(f"/v1/subscriptions/{row['id']}/change", body)
    assert answer.status_code == 200, answer.content


def hold(story: LimitStory, **fields: Any) -> str:
    return str(story.api.make("/v1/authorizations", **story.event({}, "north") | fields)["id"])


def capture(story: LimitStory, held: str, tokens: int) -> None:
    answer = story.api.post(f"/v1/authorizations/{held}/capture", {"properties": {"tokens": tokens}})
    assert answer.status_code == 201, answer.content


def refused_at(story: LimitStory, tokens: int) -> str:
    """What the refusal of a call says that is used of the quota."""
    denial = story.denial(tokens)
    assert denial["reason"] == "entitlement"
    return str(denial["used"])


def shown(story: LimitStory) -> tuple[str, str, str]:
    """What is used, held and left of north's quota."""
    (row,) = story.api.get("/v1/entitlements", workspace="north").json()["entitlements"]
    return row["used"], row["held"], row["remaining"]


def shown_all(story: LimitStory) -> list[tuple[str, str]]:
    """What is used and left of each of north's quotas, by feature."""
    rows = story.api.get("/v1/entitlements", workspace="north").json()["entitlements"]
    return [(row["used"], row["remaining"]) for row in rows]


def fits_no_more_than(story: LimitStory, tokens: int) -> None:
    """A hold of so many is allowed and one of one more is not; what was asked is undone."""
    for asked, status in ((tokens + 1, 402), (tokens, 201)):
        answer = story.api.post("/v1/authorizations", story.event({"tokens": asked}, "north"))
        assert answer.status_code == status, (asked, answer.content)
    story.api.post(f"/v1/authorizations/{answer.json()['id']}/void", {})


def test_what_remains_is_what_the_next_call_may_have(story: LimitStory) -> None:
    move(story, version(story, QUOTA))
    story.spend(2)
    assert shown(story) == ("2", "0", "8")
    held = hold(story, properties={"tokens": 5}, expires_in=600)
    assert shown(story) == ("2", "5", "3")
    fits_no_more_than(story, 3)
    short = hold(story, properties={"tokens": 3}, expires_in=60)
    assert shown(story) == ("2", "8", "0")
    assert story.api.post("/v1/authorizations", story.event({"tokens": 1}, "north")).status_code == 402
    capture(story, short, 1)
    assert shown(story) == ("3", "5", "2")
    fits_no_more_than(story, 2)
    story.reported(4)
    assert shown(story) == ("7", "5", "-2")
    story.at(3, 1, 0, 10)
    assert shown(story) == ("7", "0", "3")
    fits_no_more_than(story, 3)
    late = story.api.post(f"/v1/authorizations/{held}/capture", {"properties": {"tokens": 4}})
    assert late.status_code == 409


def test_what_remains_knows_the_holds_that_the_quota_has_not_counted_yet(story: LimitStory) -> None:
    hold(story, properties={"tokens": 6})
    hold(story, properties={"images": 3})
    hold(story, amount="50")
    move(story, version(story, QUOTA, QUOTA | {"feature": "same_meter", "limit": "7"}))
    rows = story.api.get("/v1/entitlements", workspace="north").json()["entitlements"]
    assert [(row["held"], row["remaining"]) for row in rows] == [("6", "1"), ("6", "4")]
    assert not LimitHold.objects.exists()
    fits_no_more_than(story, 1)
    assert LimitHold.objects.count() == 1
    assert story.api.get("/v1/entitlements", workspace="north").json()["entitlements"] == rows


def test_the_first_call_under_a_quota_knows_what_is_held(story: LimitStory) -> None:
    story.spend(2)
    held = hold(story, properties={"tokens": 6})
    hold(story, properties={"images": 3})
    hold(story, amount="50")
    move(story, version(story, QUOTA))
    assert refused_at(story, 3) == "8"
    story.spend(1)
    assert refused_at(story, 2) == "9"
    capture(story, held, 5)
    assert refused_at(story, 3) == "8"
    story.spend(2)
    assert refused_at(story, 1) == "10"


def test_a_hold_counts_once_and_only_until_it_ends(story: LimitStory) -> None:
    ends = hold(story, properties={"tokens": 4}, expires_in=600)
    void = hold(story, properties={"tokens": 3})
    move(story, version(story, QUOTA))
    for _ in range(3):
        assert refused_at(story, 4) == "7"
    assert LimitHold.objects.count() == 2
    assert story.api.post(f"/v1/authorizations/{void}/void", {}).status_code == 200
    assert refused_at(story, 7) == "4"
    extended = story.api.post(f"/v1/authorizations/{ends}/extend", {"expires_in": 1200})
    assert extended.status_code == 200
    story.at(3, 1, 0, 19)
    assert refused_at(story, 7) == "4"
    story.at(3, 1, 0, 20)
    story.spend(10)


def test_a_hold_that_is_captured_first_of_all_frees_what_it_held(story: LimitStory) -> None:
    held = hold(story, properties={"tokens": 8})
    move(story, version(story, QUOTA))
    capture(story, held, 3)
    story.spend(7)
    assert refused_at(story, 1) == "10"


def test_a_quota_that_waits_for_its_day_counts_what_is_held_then(story: LimitStory) -> None:
    move(story, version(story, QUOTA), at="2026-03-02T00:00:00Z")
    story.at(3, 1, 23, 50)
    hold(story, properties={"tokens": 6}, expires_in=1800)
    story.spend(50)
    story.at(3, 2, 0, 5)
    held = story.api.post("/v1/authorizations", story.event({"tokens": 5}, "north"))
    assert (held.status_code, held.json()["denial"]["reason"]) == (402, "entitlement")


def test_counts_and_unique_values_are_held_too(story: LimitStory) -> None:
    story.meter("calls", aggregation="count")
    story.meter("people", aggregation="unique")
    held = {"tokens": 1, "people": "ann"}
    hold(story, properties=held)
    hold(story, properties=held | {"people": "bob"})
    bounds = [QUOTA | {"feature": name, "meter": name, "limit": "2"} for name in ("calls", "people")]
    move(story, version(story, *bounds))
    denial = story.denial(1)
    assert (denial["id"], denial["used"]) == ("calls", "2")


def test_a_quota_that_comes_back_has_missed_nothing(story: LimitStory) -> None:
    """The table of docs/algorithms/limits.md, row by row."""
    held, bounded, free = "", version(story, QUOTA), version(story)
    for hour, row in enumerate(table("what happens | tokens", DOCUMENT)):
        story.at(3, 1, hour)
        happens, tokens = row["what happens"], int(row["tokens"] or 0)
        if happens.startswith("change"):
            move(story, free if happens.endswith("no quota") else bounded)
        elif happens.startswith("charge"):
            story.spend(tokens)
        elif happens.startswith("hold"):
            held = hold(story, properties={"tokens": tokens}, expires_in=24 * 3600)
        else:
            capture(story, held, tokens)
        would = story.api.post("/v1/authorizations", story.event({"tokens": 3}, "north"))
        assert would.status_code == (402 if row["a call of 3 then"] == "too much" else 201), row
        if would.status_code == 201:
            story.api.post(f"/v1/authorizations/{would.json()['id']}/void", {})
        if row["used + held"]:
            used, held_now = row["used + held"].split(" + ")
            assert Decimal(story.denial(11)["used"]) == Decimal(used) + Decimal(held_now), row
            assert shown(story) == (used, held_now, str(10 - int(used) - int(held_now))), row


def test_two_features_of_one_meter_count_a_call_once(story: LimitStory) -> None:
    move(story, version(story, QUOTA, QUOTA | {"feature": "same_meter", "limit": "7"}))
    for _ in range(3):
        story.spend(2)
    assert refused_at(story, 2) == "6"
    assert shown_all(story) == [("6", "1"), ("6", "4")]
    story.spend(1)
    assert refused_at(story, 1) == "7"


def test_a_refused_call_that_brings_a_quota_up_to_date_is_not_missed_by_who_knew_it_before(
    story: LimitStory,
) -> None:
    """Calls dated before the quota went away and came back count in it too, and are far from it by what their
    process has read."""
    quota = QUOTA | {"limit": "100"}
    bounded, free = version(story, quota), version(story)
    move(story, bounded)
    story.spend(10)
    story.at(3, 2)
    move(story, free)
    story.spend(60)
    story.at(3, 3)
    move(story, bounded)
    before = {"occurred_at": "2026-03-01T10:00:00Z"}
    story.at(3, 3, 12)
    for _ in range(2):
        story.spend(1, **before)
    refused = story.api.post("/v1/charges", story.event({"tokens": 1, "images": 100_000}, "north"))
    assert refused.json()["denial"]["reason"] == "insufficient_funds"
    assert story.denial(40, **before)["used"] == "72"
