"""Price changes beside contracts and ramps."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db
APRIL = "2026-04-10T00:00:00Z"


def contract(changes: PriceChanges, payer: str, base: str, price: str) -> str:
    """A version of the payer's customer alone."""
    customer = changes.api.get(f"/v1/billing-entities/{payer}").json()["customer"]
    overrides = {"components": {"tok": {"unit_price": price}}}
    return str(changes.api.make("/v1/plan-versions", base=base, customer=customer, overrides=overrides)["id"])


def dearer_after_a_month(price: str) -> list[dict[str, Any]]:
    return [{"after_months": 1, "overrides": {"components": {"tok": {"unit_price": price}}}}]


def test_a_contract_is_moved_only_by_its_name(money: Story, changes: PriceChanges) -> None:
    first, second = changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "2"))
    listed = changes.customers(1, first, top_up="100")[0]
    agreed = money.payer(top_up="100")
    own = contract(changes, agreed, first, "0.5")
    changes.start(agreed, plan_version=own)
    rollout = changes.announce(second, "on_date", effective_at=APRIL)
    assert [row["billing_entity"] for row in changes.members(rollout)] == [listed]
    named = changes.announce(
        second, "on_date", effective_at="2026-05-10T00:00:00Z", cohort={"from_versions": [own]}
    )
    assert [row["billing_entity"] for row in changes.members(named)] == [agreed]
    money.at(4, 10)
    changes.due()
    assert [changes.on(listed), changes.on(agreed)] == [second, own]
    money.at(5, 10)
    changes.due()
    assert (changes.on(agreed), money.charge(agreed, tok=1)) == (second, "2")


def test_a_customer_may_be_negotiated_out_onto_a_contract(money: Story, changes: PriceChanges) -> None:
    first, second = changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "2"))
    payer, other = changes.customers(2, first, top_up="100")
    rollout = changes.announce(second, "on_date", effective_at=APRIL)
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[payer])
    own = contract(changes, payer, second, "1.5")
    changes.act(rollout, "except", subscriptions=changes.names(payer), reason="a contract at 1.5")
    back = changes.announce(
        own,
        "on_date",
        effective_at="2026-04-12T00:00:00Z",
        cohort={"subscriptions": changes.names(payer, other)},
    )
    assert [row["billing_entity"] for row in changes.members(back)] == [payer], "nobody else may be on it"
    money.at(4, 12)
    changes.due()
    assert [money.charge(each, tok=1) for each in (payer, other)] == ["1.5", "2"]


def test_whatever_phase_of_its_ramp_has_come_a_subscription_is_on_its_version(
    money: Story, changes: PriceChanges
) -> None:
    ramped = changes.publish(per_unit("tok", "1"), ramps=dearer_after_a_month("1.5"))
    flat = changes.publish(per_unit("tok", "3"))
    (payer,) = changes.customers(1, ramped, top_up="100")
    rollout = changes.announce(flat, effective_at="2026-04-15T00:00:00Z", cohort={"from_versions": [ramped]})
    money.at(4, 2)
    changes.due()
    assert changes.on(payer) != ramped
    assert money.charge(payer, tok=2) == "3"
    money.at(5, 1)
    changes.due()
    member = changes.member(rollout, payer)
    assert (member["state"], changes.on(payer), money.charge(payer, tok=2)) == ("moved", flat, "6")
    (row,) = money.api.get(f"/v1/rollouts/{rollout}/make-whole").json()["data"]
    assert (row["old_amount"], row["new_amount"]) == ("3", "6"), "the phase that it came from"


def test_a_ceiling_holds_in_every_phase_of_the_new_version(money: Story, changes: PriceChanges) -> None:
    old = changes.publish(per_unit("tok", "1", included="100"))
    ramped = changes.publish(per_unit("tok", "1", included="10"), ramps=dearer_after_a_month("2"))
    (payer,) = changes.customers(1, old, top_up="1000")
    changes.announce(ramped, "on_date", effective_at=APRIL)
    money.at(4, 10)
    changes.due()
    assert money.charge(payer, tok=100) == "90"
    assert money.refused(payer, tok=1) == "entitlement"
    money.at(6, 2)
    changes.due()
    assert changes.on(payer) != ramped
    assert money.charge(payer, tok=100) == "180"
    assert money.refused(payer, tok=1) == "entitlement"
