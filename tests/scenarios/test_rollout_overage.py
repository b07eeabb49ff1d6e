"""A version that charges for what the old one included or blocked: old ceilings stay until accepted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db
APRIL = "2026-04-10T00:00:00Z"
BLOCKED = {"entitlements": [{"feature": "tok", "type": "metered", "meter": "tok", "limit": "100"}]}


def denial(money: Story, payer: str, tok: int) -> Any:
    answer = money.ask(payer, tok=tok)
    assert answer.status_code == 402, answer.content
    return answer.json()["denial"]


def moved(money: Story, changes: PriceChanges, old: str, new: str, number: int = 1) -> list[Any]:
    """The rollout, and so many payers whom it moves on 10 April."""
    payers = changes.customers(number, old, top_up="1000")
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    money.at(4, 10)
    changes.due()
    return [rollout, *payers]


def test_what_was_blocked_stays_blocked_until_it_is_acknowledged(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "0.5", included="100"), **BLOCKED)
    new = changes.publish(per_unit("tok", "1", included="100"))
    rollout, payer = moved(money, changes, old, new)
    shown = changes.shown(rollout)
    assert shown["introduces_overage"]
    assert shown["overages"] == {old: [{"meter": "tok", "cause": "was_blocked", "ceiling": "100"}]}
    assert changes.member(rollout, payer)["introduces_overage"]
    assert money.charge(payer, tok=100) == "0"
    refusal = denial(money, payer, 1)
    assert {name: refusal[name] for name in ("reason", "level", "id", "limit", "used", "retryable")} == {
        "reason": "entitlement",
        "level": "subscription",
        "id": changes.subscriptions[payer],
        "limit": "100",
        "used": "100",
        "retryable": False,
    }
    (kept,) = money.api.get("/v1/denials", billing_entity=payer).json()["data"]
    assert (kept["reason"], kept["level"], kept["expected_amount"]) == ("entitlement", "subscription", "1")
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[payer], by="ann@example.com")
    assert money.charge(payer, tok=7) == "7"
    (ceiling,) = money.api.get("/v1/usage-ceilings").json()["data"]
    assert (ceiling["lifted_at"], ceiling["lifted_by"]) == (APRIL, "ann@example.com")
    assert changes.member(rollout, payer)["acknowledged_by"] == "ann@example.com"


def test_reported_usage_is_never_refused(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "1", included="100"))
    new = changes.publish(per_unit("tok", "1", included="10"))
    _, payer = moved(money, changes, old, new)
    money.report(payer, {"tok": 150})
    assert money.settled(payer) == 1000 - 140
    assert denial(money, payer, 1)["used"] == "150"


def test_nothing_more_is_refused_while_the_quantity_does_not_grow(
    money: Story, changes: PriceChanges
) -> None:
    money.meter("peak", "max")
    old = changes.publish(per_unit("peak", "1", included="100"))
    new = changes.publish(per_unit("peak", "1", included="10"))
    _, payer = moved(money, changes, old, new)
    money.report(payer, {"peak": 120})
    assert money.charge(payer, peak=60) == "0"
    assert denial_of(money, payer, peak=121)["limit"] == "100"


def denial_of(money: Story, payer: str, **properties: Any) -> Any:
    return money.ask(payer, **properties).json()["denial"]


def test_what_the_month_had_used_before_the_move_counts(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "0.01", included="100"))
    new = changes.publish(per_unit("tok", "1", included="10"))
    (payer,) = changes.customers(1, old, top_up="1000")
    changes.announce(new, "on_date", effective_at=APRIL)
    money.at(4, 5)
    money.charge(payer, tok=30)
    money.at(4, 10)
    changes.due()
    assert money.charge(payer, tok=70) == "60"  # 10 of it are included
    assert denial(money, payer, 1)["used"] == "100"
    money.at(5, 1)
    changes.due()
    assert money.charge(payer, tok=100) == "90", "a new month has the whole of it"
    assert denial(money, payer, 1)["limit"] == "100"


def test_a_limit_of_the_customers_own_takes_its_place(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "1", included="100"))
    new = changes.publish(per_unit("tok", "1", included="10"))
    rollout, before, after = None, *changes.customers(2, old, top_up="1000")
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    name = changes.subscriptions[before]
    changes.act(rollout, "acknowledge", subscription=name, limits={"tok": "50"})
    money.at(4, 10)
    changes.due()
    money.charge(before, tok=50)
    assert denial(money, before, 1)["limit"] == "50"
    name = changes.subscriptions[after]
    changes.act(rollout, "acknowledge", subscription=name, limits={"tok": "200"})
    money.charge(after, tok=200)
    assert denial(money, after, 1)["limit"] == "200"
    changes.act(rollout, "acknowledge", subscription=name)
    assert money.charge(after, tok=1) == "1"
    ceilings = money.api.get("/v1/usage-ceilings", standing="true").json()["data"]
    assert [(row["reason"], row["limit"]) for row in ceilings] == [("chosen", "50")]
    assert changes.refused(rollout, "acknowledge", subscription=name, limits={"gpu": "1"}) == (
        422,
        "unknown_meter",
    )


def test_who_acknowledged_before_has_no_ceiling(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "1", included="100"))
    new = changes.publish(per_unit("tok", "1", included="10"))
    (payer,) = changes.customers(1, old, top_up="1000")
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[payer])
    money.at(4, 10)
    changes.due()
    assert money.charge(payer, tok=150) == "140"
    assert money.api.get("/v1/usage-ceilings").json()["data"] == []


def test_a_rollback_takes_the_ceiling_with_it(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "1", included="100"))
    new = changes.publish(per_unit("tok", "1", included="10"))
    rollout, payer = moved(money, changes, old, new)
    money.charge(payer, tok=100)
    assert denial(money, payer, 1)["reason"] == "entitlement"
    money.at(4, 11)
    back = changes.act(rollout, "roll-back", reason="too much trouble")
    assert not back["introduces_overage"]
    changes.due()
    assert money.charge(payer, tok=101) == "1"
    assert money.api.get("/v1/usage-ceilings", standing="true").json()["data"] == []


def test_a_ceiling_goes_with_the_next_price_change_and_comes_back_with_a_rollback(
    money: Story, changes: PriceChanges
) -> None:
    first = changes.publish(per_unit("tok", "1", included="100"))
    second = changes.publish(per_unit("tok", "1", included="10"))
    third = changes.publish(per_unit("tok", "2", included="10"))
    _, payer = moved(money, changes, first, second)
    money.at(4, 11)
    later = changes.announce(third, "immediately", "the same again")
    assert not changes.shown(later)["introduces_overage"]
    changes.due()
    money.charge(payer, tok=100)
    assert denial(money, payer, 1)["limit"] == "100", "v3 charges for what v1 included, too"
    money.at(4, 12)
    changes.act(later, "roll-back", reason="not again")
    changes.due()
    assert changes.on(payer) == second
    refusal = denial(money, payer, 1)
    assert (refusal["limit"], refusal["used"]) == ("100", "100")
    money.at(4, 13)
    again = changes.announce(third, "immediately", "now really")
    changes.act(again, "acknowledge", subscription=changes.subscriptions[payer])
    changes.due()
    assert money.charge(payer, tok=11) == "2"
    standing = money.api.get("/v1/usage-ceilings", standing="true").json()["data"]
    assert standing == []


def test_a_price_for_what_was_free_is_marked_but_has_no_ceiling(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "0"))
    new = changes.publish(per_unit("tok", "1"))
    rollout, payer = moved(money, changes, old, new)
    assert changes.shown(rollout)["overages"] == {
        old: [{"meter": "tok", "cause": "was_free", "ceiling": None}]
    }
    assert money.charge(payer, tok=1000) == "1000"


def test_a_mere_price_rise_is_not_marked(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "1", included="100"))
    new = changes.publish(per_unit("tok", "2", included="100"))
    rollout, payer = moved(money, changes, old, new)
    assert not changes.shown(rollout)["introduces_overage"]
    assert money.charge(payer, tok=101) == "2"
