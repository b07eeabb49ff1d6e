"""What is held counts in limits and quotas while it is, to the second, whoever has written it down."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from billing.models import LimitHold
from core import clock
from core.ids import row_id
from tests.scenarios.limits import LimitStory

pytestmark = pytest.mark.django_db


def hold(story: LimitStory, tokens: int, workspace: str = "north", **fields: Any) -> str:
    body = story.event({"tokens": tokens}, workspace) | fields
    return str(story.api.make("/v1/authorizations", **body)["id"])


def refused_hold(story: LimitStory, tokens: int, workspace: str = "north") -> dict[str, Any]:
    answer = story.api.post("/v1/authorizations", story.event({"tokens": tokens}, workspace))
    assert answer.status_code == 402, answer.content
    denial: dict[str, Any] = answer.json()["denial"]
    return denial


def capture(story: LimitStory, held: str, tokens: int, **fields: Any) -> Any:
    body = {"properties": {"tokens": tokens}} | fields
    return story.api.post(f"/v1/authorizations/{held}/capture", body)


def test_a_hold_takes_room_and_a_capture_turns_it_into_spend(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    held = hold(story, 6)
    shown = story.shown(limit)
    assert (shown["used"], shown["held"], shown["remaining"]) == ("0", "6", "4")
    denial = story.denial(5)
    assert (denial["reason"], denial["level"], denial["used"]) == ("spend_limit", "workspace", "6")
    assert refused_hold(story, 5)["reason"] == "spend_limit"
    assert capture(story, held, 4).status_code == 201
    shown = story.shown(limit)
    assert (shown["used"], shown["held"], shown["remaining"]) == ("4", "0", "6")
    story.spend(6)
    assert not LimitHold.objects.exists()


def test_a_void_gives_the_room_back_at_once(story: LimitStory) -> None:
    limit = story.limit("10", organization=story.group)
    held = hold(story, 10, "north")
    assert story.denial(1, "south")["level"] == "organization"
    assert story.api.post(f"/v1/authorizations/{held}/void", {}).status_code == 200
    story.spend(10, "south")
    assert story.used(limit) == 10


def test_an_expired_hold_of_another_payer_counts_no_more_to_the_second(story: LimitStory) -> None:
    story.limit("10", organization=story.group)
    hold(story, 10, "north", expires_in=600)
    story.at(3, 1, 0, 9)
    assert story.denial(1, "south")["used"] == "10"
    story.at(3, 1, 0, 10)
    story.spend(10, "south")
    assert LimitHold.objects.count() == 1  # nobody has settled north's account meanwhile


def test_an_extended_hold_counts_on(story: LimitStory) -> None:
    story.limit("10", organization=story.group)
    held = hold(story, 10, "north", expires_in=600)
    extended = story.api.post(f"/v1/authorizations/{held}/extend", {"expires_in": 3600})
    assert extended.status_code == 200
    story.at(3, 1, 0, 59)
    assert story.denial(1, "south")["used"] == "10"
    story.at(3, 1, 1)
    story.spend(10, "south")


def test_a_hold_counts_in_the_window_that_comes_for_it_may_be_spent_there(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north", window="day")
    story.at(3, 1, 23, 59)
    held = hold(story, 8)
    story.at(3, 2)
    assert story.denial(3)["used"] == "8"
    story.spend(2)
    assert capture(story, held, 8, occurred_at="2026-03-02T00:00:00Z").status_code == 201
    assert story.used(limit) == 10
    assert story.denial(1)["used"] == "10"


def test_a_capture_beyond_what_is_held_asks_the_limits_for_the_rest(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    held = hold(story, 6)
    story.spend(2)
    answer = capture(story, held, 9, over="overdraft")
    assert answer.status_code == 402
    assert (answer.json()["denial"]["reason"], answer.json()["denial"]["used"]) == ("spend_limit", "2")
    assert story.shown(limit)["held"] == "6"  # it is held as before
    assert capture(story, held, 8, over="overdraft").status_code == 201
    assert story.used(limit) == 10


def test_what_a_capped_capture_leaves_to_the_operator_is_nobodys_spend(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    event = story.event({"tokens": 6}, "north")
    held = story.api.make("/v1/authorizations", **event)["id"]
    assert capture(story, held, 9, over="cap").json()["amount"] == "6"
    assert story.used(limit) == 6
    body = {"event": event["idempotency_key"], "customer": story.customer, "reason": "r"}
    story.api.make("/v1/reversals", idempotency_key="back", **body)
    assert story.used(limit) == 0


def test_what_was_promised_is_kept_when_a_limit_is_lowered(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    held = hold(story, 6)
    story.change(f"/v1/spend-limits/{limit['id']}", amount="1")
    assert story.denial(1)["used"] == "6"
    assert capture(story, held, 6).status_code == 201
    assert story.used(limit) == 6


def test_a_limit_that_is_set_late_knows_what_is_held(story: LimitStory) -> None:
    north = story.payers["north"]
    held = hold(story, 6)
    hold(story, 3, "south")
    story.spend(1)
    assert story.limit("10", workspace="north")["held"] == "6"
    assert story.limit("10", billing_entity=north)["held"] == "6"
    assert story.limit("10", organization=story.group)["held"] == "9"
    assert story.denial(4)["used"] == "7"
    assert capture(story, held, 1).status_code == 201
    assert not LimitHold.objects.filter(amount=Decimal(6)).exists()


def test_an_amount_alone_is_held_in_limits_too(story: LimitStory) -> None:
    limit = story.limit("10", workspace="north")
    body = {"idempotency_key": "a", "workspace": "north", "amount": "7"}
    story.api.make("/v1/authorizations", **body)
    assert story.shown(limit)["held"] == "7"
    more = story.api.post("/v1/authorizations", body | {"idempotency_key": "b", "amount": "4"})
    assert more.json()["denial"]["reason"] == "spend_limit"


def test_a_meters_limit_holds_the_lines_of_its_meter(story: LimitStory) -> None:
    limit = story.limit("100", billing_entity=story.payers["north"], meter="images")
    event = story.event({"tokens": 50, "images": 4}, "north")
    story.api.make("/v1/authorizations", **event)
    assert story.shown(limit)["held"] == "40"


def test_a_lease_holds_and_its_calls_take_their_place(story: LimitStory) -> None:
    limit = story.limit("10", organization=story.group)
    lease = story.api.make("/v1/leases", workspace="north", amount="8", expires_in=600)["id"]
    assert story.denial(3, "south")["used"] == "8"
    call = story.event({"tokens": 3}, "north")
    reported = story.api.post(f"/v1/leases/{lease}/report", {"events": [call]})
    assert reported.json()["accepted"] == 1, reported.content
    shown = story.shown(limit)
    assert (shown["used"], shown["held"], shown["remaining"]) == ("3", "5", "2")
    assert story.denial(3, "south")["used"] == "8"
    assert story.api.post(f"/v1/leases/{lease}/return", {}).status_code == 200
    story.spend(7, "south")
    assert story.used(limit) == 10


def test_quotas_hold_quantities() -> None:
    quota = {"feature": "monthly", "type": "metered", "meter": "images", "limit": "10"}
    story = LimitStory(entitlements=[quota])
    image = story.event({"images": 8}, "north")
    held = story.api.make("/v1/authorizations", **image)["id"]
    denial = story.api.post("/v1/charges", story.event({"images": 3}, "north")).json()["denial"]
    assert (denial["reason"], denial["limit"], denial["used"]) == ("entitlement", "10", "8")
    captured = story.api.post(f"/v1/authorizations/{held}/capture", {"properties": {"images": 2}})
    assert captured.status_code == 201
    assert story.api.post("/v1/charges", story.event({"images": 8}, "north")).status_code == 201
    assert story.api.post("/v1/charges", story.event({"images": 1}, "north")).status_code == 402
    story.audit()
    clock.use(None)


def test_a_meters_limit_that_is_set_late_knows_what_is_held_of_its_meter(story: LimitStory) -> None:
    north = story.payers["north"]
    event = story.event({"tokens": 50, "images": 4}, "north")
    held = str(story.api.make("/v1/authorizations", **event)["id"])
    hold(story, 7, "south")
    images = story.limit("60", billing_entity=north, meter="images")
    tokens = story.limit("100", billing_entity=north, meter="tokens")
    assert (images["held"], images["remaining"], tokens["held"]) == ("40", "20", "50")
    denial = story.api.post("/v1/charges", story.event({"images": 3}, "north")).json()["denial"]
    assert (denial["level"], denial["used"], denial["limit"]) == ("meter", "40", "60")
    answer = capture(story, held, 10, properties={"tokens": 10, "images": 1})
    assert answer.json()["amount"] == "20"
    shown = story.shown(images), story.shown(tokens)
    assert [(one["used"], one["held"]) for one in shown] == [("10", "0"), ("10", "0")]
    assert not LimitHold.objects.filter(counter=f"lim:{row_id('lim', images['id'])}").exists()


def test_a_meters_limit_that_is_set_late_counts_no_hold_for_another_meter(story: LimitStory) -> None:
    hold(story, 6)
    limit = story.limit("10", billing_entity=story.payers["north"], meter="images")
    assert (limit["held"], limit["remaining"]) == ("0", "10")
    image = story.api.post("/v1/charges", story.event({"images": 1}, "north"))
    assert image.status_code == 201, image.content


@pytest.mark.parametrize("end", ["void", "expiry"])
def test_what_a_late_limit_found_held_is_free_when_the_hold_ends(story: LimitStory, end: str) -> None:
    held = hold(story, 6, expires_in=600)
    limits = [
        story.limit("10", workspace="north"),
        story.limit("10", billing_entity=story.payers["north"], meter="tokens"),
    ]
    assert [limit["held"] for limit in limits] == ["6", "6"]
    if end == "void":
        assert story.api.post(f"/v1/authorizations/{held}/void", {}).status_code == 200
    else:
        story.at(3, 1, 0, 9)
        assert story.denial(5)["used"] == "6"
        story.at(3, 1, 0, 10)
    story.spend(10)
    assert [(story.shown(one)["used"], story.shown(one)["held"]) for one in limits] == [("10", "0")] * 2


def test_a_changed_limit_still_sees_what_is_held(story: LimitStory) -> None:
    north = story.payers["north"]
    limit = story.limit("10", billing_entity=north, meter="tokens", kind="soft")
    held = hold(story, 6)
    changed = story.change(f"/v1/spend-limits/{limit['id']}", amount="8", kind="hard")
    assert (changed["held"], changed["remaining"]) == ("6", "2")
    assert story.denial(3)["used"] == "6"
    story.spend(2)
    assert capture(story, held, 6).status_code == 201
    assert story.denial(1)["used"] == "8"


def test_a_limit_that_takes_the_place_of_another_sees_the_same(story: LimitStory) -> None:
    first = story.limit("10", workspace="north")
    hold(story, 6)
    assert story.api.post(f"/v1/spend-limits/{first['id']}/end", {}).status_code == 200
    assert story.limit("10", workspace="north", window="day")["held"] == "6"
    assert story.denial(5)["used"] == "6"


def test_an_amount_that_is_named_may_all_become_a_meters(story: LimitStory) -> None:
    north = story.payers["north"]
    images = story.limit("10", billing_entity=north, meter="images")
    body = {"workspace": "north", "event": "call", "amount": "7"}
    held = story.api.make("/v1/authorizations", idempotency_key="a", **body)["id"]
    story.api.make("/v1/authorizations", idempotency_key="b", workspace="north", event="other", amount="7")
    assert story.shown(images)["held"] == "7"
    denial = story.api.post("/v1/authorizations", body | {"idempotency_key": "c", "amount": "4"}).json()[
        "denial"
    ]
    assert (denial["level"], denial["used"]) == ("meter", "7")
    answer = capture(story, held, 0, properties={"tokens": 3})
    assert answer.status_code == 201, answer.content
    shown = story.shown(images)
    assert (shown["used"], shown["held"]) == ("0", "0")


def test_what_a_lease_or_an_amount_alone_is_for_may_be_any_meter(story: LimitStory) -> None:
    north = story.payers["north"]
    lease = story.api.make("/v1/leases", workspace="north", amount="5", expires_in=600)["id"]
    story.api.make("/v1/authorizations", idempotency_key="a", workspace="north", amount="3")
    limit = story.limit("20", billing_entity=north, meter="images")
    assert limit["held"] == "8"
    refused = story.api.post("/v1/leases", {"workspace": "north", "amount": "13"})
    assert (refused.status_code, refused.json()["denial"]["level"]) == (402, "meter")
    calls = [story.event({"tokens": 2}, "north"), story.event({"images": 1}, "north")]
    story.api.post(f"/v1/leases/{lease}/report", {"events": calls[:1]})
    assert story.shown(limit)["held"] == "6"  # of the lease, 3 are left
    story.api.post(f"/v1/leases/{lease}/report", {"events": calls[1:]})
    shown = story.shown(limit)
    assert (shown["used"], shown["held"]) == ("10", "3")


def test_a_soft_meter_limit_refuses_no_lease(story: LimitStory) -> None:
    story.limit("1", billing_entity=story.payers["north"], meter="images", kind="soft")
    assert story.api.make("/v1/leases", workspace="north", amount="5", expires_in=600)["amount"] == "5"


def test_an_amount_without_properties_is_refused_once_a_quota_of_its_event_is_used_up() -> None:
    quota = {"feature": "monthly", "type": "metered", "meter": "images", "limit": "10"}
    story = LimitStory(entitlements=[quota])
    body = {"event": "call", "workspace": "north", "amount": "50"}
    held = [story.api.make("/v1/authorizations", idempotency_key=f"a{n}", **body)["id"] for n in range(2)]
    assert capture(story, held[0], 0, properties={"images": 5}).status_code == 201
    assert story.api.post("/v1/charges", story.event({"images": 5}, "north")).status_code == 201
    answer = story.api.post("/v1/authorizations", body | {"idempotency_key": "late"})
    denial = answer.json()["denial"]
    assert (denial["reason"], denial["id"], denial["used"]) == ("entitlement", "monthly", "10")
    assert denial["resets_at"] == "2026-04-01T00:00:00Z"
    told = body | {"idempotency_key": "told", "properties": {"tokens": 1}}  # not of images
    assert story.api.post("/v1/authorizations", told).status_code == 201
    other = body | {"idempotency_key": "other", "event": "other"}
    assert story.api.post("/v1/authorizations", other).status_code == 201
    assert capture(story, held[1], 0, properties={"images": 5}).status_code == 201  # it was promised
    story.at(4, 1)
    assert story.api.post("/v1/authorizations", body | {"idempotency_key": "new"}).status_code == 201
    story.audit()
    clock.use(None)
