"""A contract takes its own customer and nobody else, at every door that puts a subscription on a version."""

from __future__ import annotations

from typing import Any

import pytest

from tests.api_client import Api
from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db


def contract(changes: PriceChanges, payer: str, base: str, **overrides: Any) -> str:
    """A version of the payer's customer alone, at half the price."""
    customer = changes.api.get(f"/v1/billing-entities/{payer}").json()["customer"]
    body = {"components": {"tok": {"unit_price": "0.5"}}} | overrides
    return str(changes.api.make("/v1/plan-versions", base=base, customer=customer, overrides=body)["id"])


def error(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_nobody_else_is_put_on_it_by_any_verb(money: Story, changes: PriceChanges) -> None:
    base = changes.publish(per_unit("tok", "1"))
    owner, other = changes.customers(2, base, top_up="100")
    own = contract(changes, owner, base)
    subscription = f"/v1/subscriptions/{changes.subscriptions[other]}"
    money.at(3, 5)
    third = money.payer()
    started = money.api.post("/v1/subscriptions", {"billing_entity": third, "plan_version": own})
    assert error(started) == (422, "contract_of_another")
    for when in ({}, {"at": "period_end"}, {"at": "2026-03-02T00:00:00Z"}):
        for verb in ("change", "change/preview"):
            answer = money.api.post(f"{subscription}/{verb}", {"plan_version": own, **when})
            assert error(answer) == (422, "contract_of_another"), (verb, when)
    rollout = changes.draft(own, cohort={"subscriptions": changes.names(other)})
    assert changes.refused(rollout, "announce") == (422, "empty_cohort")
    rollout = changes.draft(own, cohort={"from_versions": [base]})
    preview = money.api.get(f"/v1/rollouts/{rollout}/preview").json()
    assert preview["subscriptions"] == 1
    changes.act(rollout, "announce")
    assert [row["billing_entity"] for row in changes.members(rollout)] == [owner]
    assert (changes.on(other), money.charge(other, tok=2)) == (base, "2")


def test_a_rollback_returns_each_to_its_own_contract(money: Story, changes: PriceChanges) -> None:
    base, new = changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "2"))
    payers = [money.payer(top_up="100") for _ in range(3)]
    contracts = [contract(changes, payer, base, name=f"c{n}") for n, payer in enumerate(payers)]
    for payer, version in zip(payers, contracts, strict=True):
        changes.start(payer, plan_version=version)
    rollout = changes.announce(
        new, "on_date", effective_at="2026-04-10T00:00:00Z", cohort={"from_versions": contracts}
    )
    money.at(4, 10)
    changes.due()
    assert [money.charge(payer, tok=2) for payer in payers] == ["4"] * 3
    money.at(4, 11)
    changes.act(rollout, "roll-back", reason="not agreed")
    changes.due()
    assert [changes.on(payer) for payer in payers] == contracts
    assert [money.charge(payer, tok=2) for payer in payers] == ["1"] * 3


def test_a_contract_of_an_old_version_stays_when_its_base_is_retired(
    money: Story, changes: PriceChanges
) -> None:
    base = changes.publish(per_unit("tok", "1"))
    owner = money.payer(top_up="100")
    own = contract(changes, owner, base)
    changes.start(owner, plan_version=own)
    changes.publish(per_unit("tok", "3"))
    assert money.api.post(f"/v1/plan-versions/{base}/retire", {}).status_code == 200
    assert (changes.on(owner), money.charge(owner, tok=2)) == (own, "1")
    again = contract(changes, owner, base)
    assert again == own


def test_a_customers_own_key_reads_no_contract_of_another(money: Story, changes: PriceChanges) -> None:
    base = changes.publish(per_unit("tok", "1"))
    owner, other = changes.customers(2, base, top_up="100")
    own = contract(changes, owner, base)
    issued = money.api.make("/v1/api-keys", workspace=f"w-{other}", name="k")
    stranger = Api()
    stranger.secret = issued["secret"]
    for path in (f"/v1/plan-versions/{own}", f"/v1/billing-entities/{owner}/upcoming", "/v1/subscriptions"):
        assert stranger.get(path).status_code in (401, 403), path
    assert stranger.get("/v1/usage").status_code == 200
