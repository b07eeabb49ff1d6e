"""The price that is coming, as a customer sees it before it comes, and what is charged then."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.changes import PriceChanges
from tests.scenarios.life import LifeStory
from tests.scenarios.money import Story, per_unit, tiers

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "timing": "in_advance", "prorate": True}
TIERS = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("20", "2"), (None, "0.5"))}
Json = dict[str, Any]


def upcoming(story: Story, payer: str) -> Json:
    """The payer's one subscription in `GET /v1/billing-entities/{id}/upcoming`."""
    answer = story.api.get(f"/v1/billing-entities/{payer}/upcoming")
    assert answer.status_code == 200, answer.content
    (found,) = answer.json()["subscriptions"]
    return dict(found)


def coming(story: Story, payer: str) -> tuple[str | None, str | None]:
    """(version, from when) of what is coming."""
    found = upcoming(story, payer)
    return found["upcoming_version"], found["effective_at"]


def lines(statement: Json) -> dict[str, tuple[str | None, str | None, str | None]]:
    """(current, upcoming, difference) by line."""

    def amount(side: Json | None) -> str | None:
        return None if side is None else str(side["amount"])

    return {
        line["key"]: (amount(line["current"]), amount(line["upcoming"]), line["difference"])
        for line in statement["lines"]
    }


def test_an_announced_price_is_shown_line_by_line_until_it_holds_and_is_what_is_charged(
    money: Story,
) -> None:
    money.meter("tok")
    changes = PriceChanges(money)
    old = changes.publish(per_unit("tok", "1"), base_fees=[PLATFORM])
    (payer,) = changes.customers(1, old, top_up="1000")
    money.charge(payer, tok=30)
    assert coming(money, payer) == (None, None)
    new = changes.publish(TIERS, base_fees=[PLATFORM | {"amount": "40"}])
    changes.announce(new)
    money.at(3, 11)
    found = upcoming(money, payer)
    assert (found["current_version"], found["upcoming_version"]) == (old, new)
    assert found["effective_at"] == "2026-04-01T00:00:00Z"
    so_far = found["current_period"]["so_far"]
    # 30 at 1; 20 at 2 and 10 at 0.5.
    assert lines(so_far) == {"platform": ("31", "40", "9"), "tok": ("30", "45", "15")}
    assert (so_far["current"], so_far["upcoming"], so_far["difference"]) == ("61", "85", "24")
    # 30 in ten days are 93 in thirty-one: 40 + 36.5.
    assert lines(found["current_period"]["projection"])["tok"] == ("93", "76.5", "-16.5")

    money.at(4, 1)
    changes.due()
    assert (changes.on(payer), coming(money, payer)) == (new, (None, None))
    # The same usage, now at the new price, costs what was shown, and so did the fee.
    assert money.charge(payer, tok=30) == "45"
    money.at(4, 2)
    assert money.settled(payer) == Decimal(1000) - Decimal(61) - Decimal(85)
    assert lines(upcoming(money, payer)["current_period"]["so_far"]) == {
        "platform": ("40", None, None),
        "tok": ("45", None, None),
    }


def test_who_is_held_out_or_whose_rollout_is_called_off_stays(money: Story) -> None:
    money.meter("tok")
    changes = PriceChanges(money)
    old = changes.publish(per_unit("tok", "1"))
    first, second = changes.customers(2, old, top_up="1000")
    new = changes.publish(per_unit("tok", "2"))
    rollout = changes.announce(new)
    assert {coming(money, payer) for payer in (first, second)} == {(new, "2026-04-01T00:00:00Z")}
    # The first one leaves before it would come.
    money.api.post(f"/v1/subscriptions/{changes.subscriptions[first]}/cancel", {"at": "2026-03-20T00:00:00Z"})
    assert coming(money, first) == (None, None)
    changes.act(rollout, "cancel")
    assert coming(money, second) == (None, None)


def test_a_version_that_is_scheduled_is_shown_until_it_is_withdrawn(life: LifeStory) -> None:
    life.meter("tok")
    old, new = life.plan(per_unit("tok", "1")), life.plan(TIERS)
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, old)
    life.charge(payer, tok=24)
    life.at(3, 2)
    life.do(subscription, "pause", at="2026-05-01T00:00:00Z")
    assert coming(life, payer) == (None, None), "a pause brings no other version"
    life.do(subscription, "change", plan_version=new, at="period_end")
    assert coming(life, payer) == (new, "2026-04-01T00:00:00Z")
    assert lines(upcoming(life, payer)["current_period"]["so_far"]) == {"tok": ("24", "42", "18")}
    (change,) = [change for change in life.read(subscription)["changes"] if change["plan_version"] == new]
    life.do(subscription, "withdraw", change=change["id"])
    assert coming(life, payer) == (None, None)


@pytest.mark.parametrize(
    ("at", "is_first"), [("2026-03-20T00:00:00Z", True), ("2026-04-20T00:00:00Z", False)]
)
def test_of_an_announced_and_a_scheduled_version_the_earlier_one_is_shown(
    money: Story, at: str, is_first: bool
) -> None:
    money.meter("tok")
    changes = PriceChanges(money)
    old = changes.publish(per_unit("tok", "1"))
    (payer,) = changes.customers(1, old, top_up="1000")
    announced = changes.publish(per_unit("tok", "2"))
    changes.announce(announced)
    scheduled = money.plan(per_unit("tok", "3"))
    address = f"/v1/subscriptions/{changes.subscriptions[payer]}/change"
    assert money.api.post(address, {"plan_version": scheduled, "at": at}).status_code == 200
    expected = (scheduled, at) if is_first else (announced, "2026-04-01T00:00:00Z")
    assert coming(money, payer) == expected
