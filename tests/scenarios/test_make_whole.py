"""Giving back what a price change cost: previewed, by hand, and credited once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit, tiers

pytestmark = pytest.mark.django_db
DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/rollouts.md"
APRIL = "2026-04-10T00:00:00Z"
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.5"))}


def table() -> list[list[str]]:
    section = DOCUMENT.read_text().split('## "Make whole"')[1]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def previewed(changes: PriceChanges, rollout: str) -> list[dict[str, Any]]:
    answer = changes.api.get(f"/v1/rollouts/{rollout}/make-whole")
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows


def amounts(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["old_amount"], row["new_amount"], row["difference"]


def test_the_worked_table(money: Story, changes: PriceChanges) -> None:
    old, new = changes.publish(GRADUATED), changes.publish(per_unit("tok", "2"))
    rows = table()
    assert len(rows) == 4
    payers = changes.customers(len(rows), old, top_up="100")
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    money.at(4, 9)
    for payer, row in zip(payers, rows, strict=True):
        money.charge(payer, tok=int(row[0]))
    money.at(4, 10)
    changes.due()
    for payer, row in zip(payers, rows, strict=True):
        money.charge(payer, tok=int(row[1]))
    found = {row["billing_entity"]: amounts(row) for row in previewed(changes, rollout)}
    assert [found[payer] for payer in payers] == [tuple(row[2:]) for row in rows]


def test_each_difference_is_credited_once(money: Story, changes: PriceChanges) -> None:
    old, new = changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "1.5"))
    payer, idle = changes.customers(2, old, top_up="100")
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    money.at(4, 10)
    changes.due()
    money.charge(payer, tok=20)
    credited = changes.act(rollout, "make-whole")["data"]
    assert [(row["billing_entity"], row["amount"], row["to_wallet"]) for row in credited] == [
        (payer, "10", "10")
    ]
    assert money.settled(payer) == 100 - 20
    assert changes.act(rollout, "make-whole")["data"] == []
    money.charge(payer, tok=20)
    assert changes.act(rollout, "make-whole")["data"] == [], "once per rollout and subscription"
    assert money.settled(payer) == 100 - 20 - 30
    rows = {row["billing_entity"]: row for row in previewed(changes, rollout)}
    assert (rows[payer]["credited"], rows[payer]["due"]) == ("10", "0")
    assert (rows[idle]["credited"], rows[idle]["due"], rows[idle]["difference"]) == (None, "0", "0")


def test_who_gained_gives_nothing_back(money: Story, changes: PriceChanges) -> None:
    old, new = changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "0.9"))
    (payer,) = changes.customers(1, old, top_up="100")
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    money.at(4, 10)
    changes.due()
    money.charge(payer, tok=20)
    assert amounts(previewed(changes, rollout)[0]) == ("20", "18", "-2")
    assert changes.act(rollout, "make-whole")["data"] == []


def test_what_is_owed_is_lowered_first(money: Story, changes: PriceChanges) -> None:
    old, new = changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "5"))
    invoiced = changes.customers(1, old, settlement="invoice_only", overdraft=None)[0]
    mixed = changes.customers(1, old, settlement="wallet_then_invoice", overdraft=None, top_up="48")[0]
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    money.at(4, 10)
    changes.due()
    for payer in (invoiced, mixed):
        money.charge(payer, tok=10)  # 50: the wallet of the second pays 48 of it
    assert [money.account(payer, "receivable") for payer in (invoiced, mixed)] == [-50, -2]
    credited = {row["billing_entity"]: row for row in changes.act(rollout, "make-whole")["data"]}
    assert [(credited[payer]["amount"], credited[payer]["to_wallet"]) for payer in (invoiced, mixed)] == [
        ("40", "0"),
        ("40", "38"),
    ]
    assert [money.account(payer, "receivable") for payer in (invoiced, mixed)] == [-10, 0]
    assert money.settled(mixed) == 38
    assert money.account(invoiced, "adjustments") == -40


def test_after_a_rollback_the_time_between_is_made_whole(money: Story, changes: PriceChanges) -> None:
    old, new = changes.publish(per_unit("tok", "1")), changes.publish(per_unit("tok", "3"))
    (payer,) = changes.customers(1, old, top_up="100")
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    money.at(4, 10)
    changes.due()
    money.charge(payer, tok=4)
    money.at(4, 20)
    changes.act(rollout, "roll-back", reason="customers complained")
    changes.due()
    money.charge(payer, tok=9)
    money.charge(payer, tok=1, occurred_at="2026-04-15T00:00:00Z")  # comes late, into the time between
    assert amounts(previewed(changes, rollout)[0]) == ("5", "15", "10")
    changes.act(rollout, "make-whole")
    assert money.settled(payer) == 100 - 5 - 9


def test_several_months_groups_uniques_and_meters_of_the_old_version_only(
    money: Story, changes: PriceChanges
) -> None:
    money.meter("user", "unique")
    money.meter("img")
    grouped = per_unit("tok", "1", included="5", group_by=["model"])
    old = changes.publish(grouped, per_unit("user", "10"), per_unit("img", "2"))
    new = changes.publish(per_unit("tok", "2"), per_unit("user", "30"))
    (payer,) = changes.customers(1, old, top_up="1000")
    rollout = changes.announce(new, "on_date", effective_at=APRIL)
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[payer])
    money.at(4, 9)
    assert money.charge(payer, tok=4, model="a", user="ann") == "10"
    money.at(4, 10)
    changes.due()
    money.charge(payer, tok=4, model="a", user="ann", img=1)  # old: 3 beyond the 5, ann again, 2 for img
    money.charge(payer, tok=4, model="b", user="bob")  # old: all included, bob is new: 10
    money.at(5, 2)
    changes.due()
    money.charge(payer, tok=6, model="a", user="ann")  # a new month. Old: 1 beyond the 5, 10 for ann
    old_amount = (3 + 0 + 2) + (0 + 10) + (1 + 10)
    new_amount = (8 + 30) + (8 + 30) + (12 + 30)
    assert amounts(previewed(changes, rollout)[0]) == (
        str(old_amount),
        str(new_amount),
        str(new_amount - old_amount),
    )


def test_base_fees_are_part_of_it(money: Story, changes: PriceChanges) -> None:
    fees = [{"key": "platform", "amount": "10", "timing": "in_advance", "prorate": True}]
    dearer = [fees[0] | {"amount": "31"}]
    old = changes.publish(per_unit("tok", "1"), base_fees=fees)
    new = changes.publish(per_unit("tok", "1"), base_fees=dearer)
    (payer,) = changes.customers(1, old, top_up="100")
    rollout = changes.announce(new, effective_at=APRIL)
    for month in (4, 5, 6):
        money.at(month, 1)
        changes.due()
    assert money.settled(payer) == 100 - 2 * 10 - 2 * 31
    assert amounts(previewed(changes, rollout)[0]) == ("20", "62", "42")
