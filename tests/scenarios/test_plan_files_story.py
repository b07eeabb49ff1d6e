"""March 2026: a price list as a file, its next version, a contract, and what each change would touch."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from core import clock
from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.scenarios.money import Story

pytestmark = pytest.mark.django_db

V1 = """\
meters:
  - {key: tok, event: call, aggregation: sum, property: tok}
---
plan: pro
name: Pro
currency: USD
base_fees:
  - {key: platform, amount: "20.00"}
components:
  - key: tok
    meter: tok
    model: graduated
    tiers: [{up_to: "1000", unit_price: "0.01"}, {up_to: null, unit_price: "0.005"}]
"""
V2 = V1.replace('unit_price: "0.01"', 'unit_price: "0.012"').replace('"20.00"', '"25.00"')

CONTRACT: dict[str, Any] = {
    "components": {
        "tok": {"tiers": [{"up_to": "1000", "unit_price": "0.005"}, {"up_to": None, "unit_price": "0.004"}]}
    },
    "base_fees": {"platform": None},
    "discounts": [{"percent": "10", "components": ["tok"]}],
}
"""Half the price of the first tier, then 10 % off, and no fee."""


@pytest.fixture
def money() -> Iterator[Story]:
    """A story with base fees, which are revenue without a charge; its books are checked when it is told."""
    story = Story()
    yield story
    assert broken_invariants(driver()) == []
    clock.use(None)


def published(money: Story, text: str) -> str:
    """Apply a file and publish its plan."""
    version = money.api.make("/v1/plan-versions", yaml=text)["id"]
    assert money.api.post(f"/v1/plan-versions/{version}/publish", {}).status_code == 200
    return str(version)


def payer(money: Story) -> str:
    """A payer who is billed."""
    return money.payer(settlement="invoice_only", overdraft=None)


def start(money: Story, payer: str, **what: str) -> Any:
    """A subscription that starts now."""
    return money.api.make("/v1/subscriptions", billing_entity=payer, **what)


def diff(money: Story, text: str) -> Any:
    """What a file would change of its one plan."""
    [plan] = money.api.post("/v1/plans/diff", {"yaml": text}).json()["plans"]
    return plan


def test_a_file_its_next_version_and_a_contract(money: Story) -> None:
    # 1 March: the first version; two customers start on it.
    v1 = published(money, V1)
    old, acme = payer(money), payer(money)
    assert start(money, old, plan="pro")["plan_version"] == v1
    first = start(money, acme, plan="pro")
    assert money.charge(old, tok=1500) == "12.5"  # 1000 x 0.01 + 500 x 0.005
    assert money.charge(acme, tok=200) == "2"

    # 10 March: the next version is compared, applied and published; nobody moves.
    money.at(3, 10)
    plan = diff(money, V2)
    assert (plan["against"], plan["subscriptions"], plan["revenue"]) == (v1, 2, "54.5")
    assert [(row["path"], row["old"], row["new"], row["revenue"]) for row in plan["changes"]] == [
        ("base_fees.platform.amount", "20", "25", "40"),
        ("components.tok.tiers[0].unit_price", "0.01", "0.012", "14.5"),
    ]
    v2 = published(money, V2)
    assert diff(money, V2)["changes"] == []
    new = payer(money)
    assert start(money, new, plan="pro")["plan_version"] == v2
    assert money.charge(old, tok=100) == "0.5"
    assert money.charge(new, tok=100) == "1.2"

    # 15 March: Acme negotiates: half the price of the first tier, then 10 % off, and it moves.
    money.at(3, 15)
    customer = first["customer"]
    contract = money.api.make("/v1/plan-versions", base=v2, customer=customer, overrides=CONTRACT)
    assert (contract["base"], contract["number"]) == (v2, 1)
    refused = money.api.post("/v1/subscriptions", {"billing_entity": new, "plan_version": contract["id"]})
    assert refused.json()["error"]["code"] == "contract_of_another"
    money.api.post(f"/v1/subscriptions/{first['id']}/cancel", {})
    start(money, acme, plan_version=contract["id"])
    assert money.charge(acme, tok=2000) == "8.1"  # (1000 x 0.005 + 1000 x 0.004) x 0.9

    # 20 March: the first version retires; who is on it stays, and its price too.
    money.at(3, 20)
    assert money.api.post(f"/v1/plan-versions/{v1}/retire", {}).json()["status"] == "retired"
    assert money.charge(old, tok=100) == "0.5"
    late = money.api.post("/v1/subscriptions", {"billing_entity": payer(money), "plan_version": v1})
    assert late.json()["error"]["code"] == "not_published"

    # What each has paid, by hand: fees and usage.
    assert [-money.account(each, "receivable") for each in (old, acme, new)] == [
        Decimal("33.5"),  # 20 + 12.5 + 0.5 + 0.5
        Decimal("30.1"),  # 20 + 2, then 8.1
        Decimal("26.2"),  # 25 + 1.2
    ]
    compared(money, v2, contract["id"])


def compared(money: Story, v2: str, contract: str) -> None:
    """What a third version would touch, and how the contract differs from the second."""
    # A third version would touch the one on v2; the retired version and the contract stand apart.
    plan = diff(money, V2.replace('"25.00"', '"30.00"'))
    assert (plan["against"], plan["subscriptions"], plan["subscriptions_elsewhere"]) == (v2, 1, 2)
    assert plan["revenue"] == "26.2"

    # The contract as a file is whole, and no draft of the plan comes of comparing it.
    text = money.api.get(f"/v1/plan-versions/{contract}/export").json()["yaml"]
    assert [(row["path"], row["kind"]) for row in diff(money, text)["changes"]] == [
        ("base_fees.platform", "removed"),
        ("components.tok.tiers[0].unit_price", "changed"),
        ("components.tok.tiers[1].unit_price", "changed"),
        ("components.tok.discount_percent", "added"),
    ]
    plan = money.api.get("/v1/plans/pro").json()
    assert (plan["published_version"], plan["draft_version"]) == (v2, None)
