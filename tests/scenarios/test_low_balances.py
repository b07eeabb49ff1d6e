"""Balances that alert: whatever takes what is left below an amount, once in a period, again in the next."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from billing.models import Alert, OutboxMessage
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit
from tests.scenarios.test_holds import Calls

DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/limits.md"
pytestmark = pytest.mark.django_db


class Low:
    """A payer with 20 that wants to know below 10 and below 5; a token costs 1."""

    def __init__(self, story: LifeStory, top_up: str = "20", fee: str = "", **fields: Any) -> None:
        self.story = story
        story.meter("tokens")
        terms = {"base_fees": [{"key": "base", "amount": fee, "timing": "in_advance"}]} if fee else {}
        self.version = story.plan(per_unit("tokens", "1"), **terms)
        self.payer = story.payer(self.version, low_balance=["10", "5"], top_up=top_up, **fields)
        self.calls = Calls(story)

    def fired(self) -> list[tuple[str, str]]:
        """(threshold, what was left) of the alerts, the oldest first."""
        rows = self.story.api.get("/v1/alerts", kind="low_balance", billing_entity=self.payer).json()["data"]
        return [(row["threshold"], row["used"]) for row in rows[::-1]]


@pytest.fixture
def low(life: LifeStory) -> Low:
    return Low(life)


def test_a_hold_takes_what_is_left_below_it_and_its_capture_is_no_news(life: LifeStory, low: Low) -> None:
    hold = low.calls.hold(low.payer, 11)
    assert low.fired() == [("10", "9")]
    assert low.calls.capture(hold, 11).status_code == 201
    assert low.fired() == [("10", "9")]
    message = OutboxMessage.objects.get(kind="alert.low_balance")
    assert (message.payload["threshold"], message.payload["used"]) == ("10", "9")
    assert message.customer_id is not None


def test_a_capture_of_more_than_was_held_fires(life: LifeStory, low: Low) -> None:
    hold = low.calls.hold(low.payer, 5)
    assert low.fired() == []
    assert low.calls.capture(hold, 16, over="overdraft").status_code == 201
    assert low.fired() == [("10", "4"), ("5", "4")]


def test_holds_that_come_and_go_fire_once(life: LifeStory, low: Low) -> None:
    for _ in range(3):
        hold = low.calls.hold(low.payer, 11)
        assert life.api.post(f"/v1/authorizations/{hold}/void", {}).status_code == 200
    assert low.fired() == [("10", "9")]
    lease = life.api.make("/v1/leases", workspace=f"w-{low.payer}", amount="16")["id"]
    assert low.fired() == [("10", "9"), ("5", "4")]
    life.api.post(f"/v1/leases/{lease}/return", {})


def test_a_hold_that_ran_out_leaves_room_to_fall_from(life: LifeStory, low: Low) -> None:
    low.calls.hold(low.payer, 9, expires_in=600)
    life.at(3, 1, 0, 10)
    life.charge(low.payer, tokens=9)
    assert low.fired() == []
    life.charge(low.payer, tokens=2)
    assert low.fired() == [("10", "9")]


def test_an_adjustment_fires(life: LifeStory, low: Low) -> None:
    life.api.make("/v1/adjustments", billing_entity=low.payer, amount="-12", reason="r")
    assert low.fired() == [("10", "8")]


def test_a_grant_that_expires_fires_whoever_settles_it(life: LifeStory) -> None:
    low = Low(life, top_up="7")
    life.grant(low.payer, "6", expires_at="2026-03-02T00:00:00Z")
    assert low.fired() == []
    life.at(3, 2)
    life.charge(low.payer, tokens=1)
    assert low.fired() == [("10", "6")]


def test_a_reported_event_and_a_reversal_count(life: LifeStory, low: Low) -> None:
    life.report(low.payer, {"tokens": 11})
    assert low.fired() == [("10", "9")]
    life.report(low.payer, {"tokens": 2}, {"tokens": 3})
    assert low.fired() == [("10", "9"), ("5", "4")]


def test_after_value_came_in_it_fires_again_in_the_same_period(life: LifeStory, low: Low) -> None:
    life.charge(low.payer, tokens=11)
    life.charge(low.payer, tokens=1)
    life.top_up(low.payer, "3")
    assert low.fired() == [("10", "9")]
    life.charge(low.payer, tokens=2)
    assert low.fired() == [("10", "9"), ("10", "9")]


def test_a_base_fee_fires_and_each_period_tells_anew(life: LifeStory) -> None:
    low = Low(life, top_up="15", fee="3")
    assert (life.settled(low.payer), low.fired()) == (12, [])
    for month, day in ((4, 1), (4, 20)):
        life.at(month, day)
        life.run_due()
        assert low.fired() == [("10", "9")]
    life.at(5, 1)
    life.run_due()
    assert low.fired() == [("10", "9"), ("10", "6")]
    life.charge(low.payer, tokens=2)
    life.at(6, 1)
    life.run_due()
    assert low.fired()[2:] == [("5", "4"), ("10", "1"), ("5", "1")]
    keys = list(Alert.objects.order_by("pk").values_list("key", flat=True))
    assert len(keys) == len(set(keys)) == OutboxMessage.objects.filter(kind="alert.low_balance").count()


def test_an_invoiced_payer_is_told_of_its_wallet_too(life: LifeStory) -> None:
    low = Low(life, settlement="wallet_then_invoice", credit_limit="100")
    life.charge(low.payer, tokens=30)
    assert low.fired() == [("10", "0"), ("5", "0")]


def test_a_charge_that_is_refused_tells_nothing(life: LifeStory, low: Low) -> None:
    assert life.refused(low.payer, tokens=21) == "insufficient_funds"
    assert low.fired() == []


def test_the_worked_story(life: LifeStory) -> None:
    low = Low(life, top_up="21", fee="1")
    set_low_balance(life, low.payer, "10")
    fired, hold, month = 0, "", 3
    for what, of, left, fires in story_rows():
        amount = int(of)
        if what == "hold":
            hold = low.calls.hold(low.payer, amount)
        elif what == "void":
            assert life.api.post(f"/v1/authorizations/{hold}/void", {}).status_code == 200
        elif what == "capture":
            assert low.calls.capture(hold, amount).status_code == 201
        elif what == "top-up":
            life.top_up(low.payer, of)
        elif what == "charge":
            life.charge(low.payer, tokens=amount)
        elif what == "adjustment":
            life.api.make("/v1/adjustments", billing_entity=low.payer, amount=f"-{of}", reason="r")
        else:
            month += 1
            life.at(month, 1)
            life.run_due()
        balance = life.balance(low.payer)
        assert Decimal(balance["settled"]) - Decimal(balance["held"]) == Decimal(left), what
        fired += fires == "yes"
        assert len(low.fired()) == fired, what


def story_rows() -> list[list[str]]:
    """The rows of the story in docs/algorithms/limits.md."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.endswith(("| yes |", "| no |"))]
    found = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(found) == 11
    return found


def set_low_balance(life: LifeStory, payer: str, *amounts: str) -> None:
    """Let only these amounts alert."""
    answer = life.api.client.patch(
        f"/v1/billing-entities/{payer}",
        {"low_balance": list(amounts)},
        content_type="application/json",
        headers={"Authorization": f"Bearer {life.api.secret}"},
    )
    assert answer.status_code == 200, answer.content
