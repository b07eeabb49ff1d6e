"""What was captured with a cap never costs its payer more, whatever prices it later."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit
from tests.scenarios.test_coupons import coupon

pytestmark = pytest.mark.django_db


class Capped:
    """A payer with 100, on a version that prices tokens at 0.01; calls are captured with a cap."""

    def __init__(self, story: LifeStory) -> None:
        self.story, self.count = story, 0
        story.meter("tokens")
        story.meter("images")
        self.version = story.plan(per_unit("tokens", "0.01"))

    def payer(self, *versions: str, **fields: Any) -> str:
        return self.story.payer(*versions, top_up="100", **fields)

    def call(self, payer: str, amount: str, over: str = "cap", **properties: int) -> str:
        """Hold an amount, capture these properties; the event's key."""
        self.count += 1
        key, api = f"call-{self.count}", self.story.api
        body = {"idempotency_key": f"hold-{self.count}", "event": "call", "workspace": f"w-{payer}"}
        hold = api.make("/v1/authorizations", amount=amount, **body)["id"]
        captured = api.post(
            f"/v1/authorizations/{hold}/capture",
            {"idempotency_key": key, "properties": properties, "over": over},
        )
        assert captured.status_code == 201, captured.content
        return key

    def absorbed(self, payer: str) -> Decimal:
        return self.story.account(payer, "leakage")


@pytest.fixture
def capped(life: LifeStory) -> Capped:
    life.at(3, 1, 13)
    return Capped(life)


def backfill(story: LifeStory, payer: str) -> Any:
    return story.api.make("/v1/backfills", billing_entity=payer)


def test_usage_that_is_priced_later_is_capped_at_what_was_held(life: LifeStory, capped: Capped) -> None:
    payer = capped.payer(capped.version)
    capped.call(payer, "5", images=3)
    assert life.settled(payer) == 100
    (subscription,) = life.api.get("/v1/subscriptions", billing_entity=payer).json()["data"]
    new = life.plan(per_unit("tokens", "0.01"), per_unit("images", "4"))
    life.at(3, 2)
    body = {"plan_version": new, "at": "2026-03-01T12:00:00Z"}
    answer = life.api.post(f"/v1/subscriptions/{subscription['id']}/change", body)
    assert answer.status_code in (200, 201), answer.content
    assert (life.settled(payer), life.account(payer, "revenue")) == (95, 12)
    assert capped.absorbed(payer).copy_abs() == 7


def test_a_dearer_price_from_the_past_on_is_capped_too_and_a_cheaper_one_is_not(
    life: LifeStory, capped: Capped
) -> None:
    payer = capped.payer(capped.version)
    capped.call(payer, "3", tokens=400)
    capped.call(payer, "3", tokens=200)
    assert (life.settled(payer), capped.absorbed(payer).copy_abs()) == (95, 1)
    (subscription,) = life.api.get("/v1/subscriptions", billing_entity=payer).json()["data"]
    life.at(3, 2)
    for price, left, absorbed in (("0.02", 94, 6), ("0.005", 97, 0)):
        new = life.plan(per_unit("tokens", price))
        body = {"plan_version": new, "at": "2026-03-01T12:00:00Z"}
        answer = life.api.post(f"/v1/subscriptions/{subscription['id']}/change", body)
        assert answer.status_code in (200, 201), answer.content
        assert (life.settled(payer), capped.absorbed(payer).copy_abs()) == (left, absorbed)


@pytest.mark.parametrize(("over", "left"), [("cap", 95), ("overdraft", 92)])
def test_a_subscription_that_is_backdated_finds_the_cap_of_what_nothing_priced(
    life: LifeStory, capped: Capped, over: str, left: int
) -> None:
    images = life.plan(per_unit("images", "4"))
    payer = capped.payer(capped.version)
    capped.call(payer, "5", over, images=2)
    life.at(3, 2)
    life.subscribe(payer, images)
    backfill(life, payer)
    assert life.settled(payer) == left
    backfill(life, payer)
    assert life.settled(payer) == left


def test_what_is_left_of_the_cap_pays_for_a_second_component(life: LifeStory, capped: Capped) -> None:
    images = life.plan(per_unit("images", "4"))
    payer = capped.payer(capped.version)
    capped.call(payer, "5", tokens=300, images=1)
    assert life.settled(payer) == 97
    life.at(3, 2)
    life.subscribe(payer, images)
    backfill(life, payer)
    assert (life.settled(payer), capped.absorbed(payer).copy_abs()) == (95, 2)


def test_a_reversal_gives_back_no_more_than_was_paid(life: LifeStory, capped: Capped) -> None:
    images = life.plan(per_unit("images", "4"))
    payer = capped.payer(capped.version)
    key = capped.call(payer, "5", images=2)
    life.at(3, 2)
    life.subscribe(payer, images)
    backfill(life, payer)
    assert life.settled(payer) == 95
    customer = life.api.get(f"/v1/billing-entities/{payer}").json()["customer"]
    life.api.make("/v1/reversals", idempotency_key="back", event=key, customer=customer, reason="r")
    assert (life.settled(payer), capped.absorbed(payer)) == (100, 0)


def test_what_falls_beyond_all_that_was_paid_is_the_operators(life: LifeStory, capped: Capped) -> None:
    tiers = [{"up_to": "100", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.05"}]
    graduated = {"key": "tokens", "meter": "tokens", "model": "graduated", "tiers": tiers}
    payer = capped.payer(life.plan(graduated))
    first = capped.call(payer, "1", tokens=100)
    second = capped.call(payer, "1", tokens=100)
    assert (life.settled(payer), capped.absorbed(payer)) == (98, -4)
    customer = life.api.get(f"/v1/billing-entities/{payer}").json()["customer"]
    back = life.api.make("/v1/reversals", event=first, customer=customer, reason="r")
    assert back["amount"] == "-5"  # 100 tokens stand, at the first tier
    assert (life.settled(payer), capped.absorbed(payer)) == (100, -1)
    back = life.api.make("/v1/reversals", event=second, customer=customer, reason="r")
    assert back["amount"] == "-1"
    assert (life.settled(payer), capped.absorbed(payer)) == (100, 0)
    life.api.make("/v1/top-ups", billing_entity=payer, amount="1")
    assert life.settled(payer) == 101


def test_a_call_that_makes_others_cheaper_gives_limits_back_what_they_had_counted(
    life: LifeStory, capped: Capped
) -> None:
    tiers = [{"up_to": "100", "unit_price": "0.1"}, {"up_to": None, "unit_price": "0.01"}]
    payer = capped.payer(life.plan({"key": "tokens", "meter": "tokens", "model": "volume", "tiers": tiers}))
    limit = life.api.make("/v1/spend-limits", billing_entity=payer, amount="50")["id"]
    capped.call(payer, "1", tokens=100)
    assert (capped.absorbed(payer), used(life, limit)) == (-9, 1)
    cheaper = life.charge(payer, tokens=1)  # all 101 at the lower price: 1.01 in place of 10
    assert (cheaper, life.settled(payer)) == ("-1", 100)
    assert (capped.absorbed(payer), used(life, limit)) == (Decimal("-1.01"), 0)


def used(story: LifeStory, limit: str) -> Decimal:
    return Decimal(story.api.get(f"/v1/spend-limits/{limit}").json()["used"])


def test_a_coupon_takes_nothing_off_what_the_operator_bore(life: LifeStory, capped: Capped) -> None:
    payer = capped.payer()
    coupon(life, life.start(payer, capped.version), percent="100", periods=1)
    capped.call(payer, "5", tokens=800)
    assert (life.settled(payer), capped.absorbed(payer)) == (95, -3)
    life.at(4, 3)
    life.run_due()
    assert (life.settled(payer), capped.absorbed(payer)) == (100, -3)


def test_what_the_operator_bore_does_not_reach_a_commitment(life: LifeStory, capped: Capped) -> None:
    payer = capped.payer(life.plan(per_unit("tokens", "0.01"), minimum_spend="31"))
    capped.call(payer, "5", tokens=800)
    life.at(4, 3)
    life.run_due()
    assert life.settled(payer) == 100 - 31
    life.charge(payer, occurred_at="2026-03-20T00:00:00Z", tokens=200)
    assert life.settled(payer) == 100 - 31
