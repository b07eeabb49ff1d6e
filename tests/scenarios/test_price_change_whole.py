"""A price change from the first preview to the last entry: forty customers, half of them paying in advance,
half on account; what each was shown before is what it is charged, or accrues, afterwards."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit, tiers
from tests.scenarios.test_upcoming_price import lines, upcoming

pytestmark = pytest.mark.django_db

FEE = {"key": "platform", "timing": "in_advance", "prorate": True}
OLD = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("100", "0.10"), (None, "0.05"))}
NEW = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("50", "0.20"), (None, "0.04"))}


@dataclass
class Customers:
    """Thirty who are to move and ten who are held out, and what each has been charged by now."""

    changes: PriceChanges
    payers: list[str] = field(default_factory=list)
    before: dict[str, Decimal] = field(default_factory=dict)

    @property
    def money(self) -> Story:
        return self.changes.story

    def use(self, number: int) -> int:
        """How much customer `number` uses a month: 10, 20, ... 400."""
        return 10 * (number + 1)

    def all_use(self) -> None:
        for number, payer in enumerate(self.payers):
            self.money.report(payer, {"tok": self.use(number)})

    def spent(self) -> dict[str, Decimal]:
        """What each was charged or accrued since it was last asked."""
        now = {payer: self.money.account(payer, "revenue") for payer in self.payers}
        since = {payer: total - self.before.get(payer, Decimal(0)) for payer, total in now.items()}
        self.before = now
        return since


def old_price(used: int) -> Decimal:
    """By hand: 100 at 0.10, the rest at 0.05; 10 of fee."""
    return 10 + min(used, 100) * Decimal("0.10") + max(used - 100, 0) * Decimal("0.05")


def new_price(used: int) -> Decimal:
    """By hand: 50 at 0.20, the rest at 0.04; 12 of fee."""
    return 12 + min(used, 50) * Decimal("0.20") + max(used - 50, 0) * Decimal("0.04")


def test_what_forty_customers_are_shown_is_what_they_are_charged(money: Story) -> None:
    money.meter("tok")
    changes = PriceChanges(money)
    first = changes.publish(OLD, base_fees=[FEE | {"amount": "10"}])
    customers = Customers(changes)
    customers.payers = changes.customers(20, first, top_up="1000")
    customers.payers += changes.customers(20, first, settlement="invoice_only", overdraft=None)
    second = changes.publish(NEW, base_fees=[FEE | {"amount": "12"}])
    changes.due()
    assert {changes.on(payer) for payer in customers.payers} == {first}, "publishing moves nobody"
    newcomer = money.payer(top_up="1000")
    assert changes.start(newcomer, plan="pro")["plan_version"] == second
    rollout, out = announced(customers, second)
    shown = previews(customers, second, out)
    assert customers.spent() == {
        payer: old_price(customers.use(number)) for number, payer in enumerate(customers.payers)
    }
    negotiated, upgraded = customers.payers[0], customers.payers[1]
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[negotiated], by="ann@example.com")
    changes.act(rollout, "except", subscriptions=changes.names(negotiated), reason="a new contract")
    money.at(4, 1)
    changes.due()
    customers.all_use()
    customers.spent()
    money.at(4, 16)
    upgrade(customers, upgraded)
    money.at(5, 1)
    changes.due()
    customers.all_use()
    check_may(customers, shown, {negotiated, upgraded}, out)
    progress = changes.shown(rollout)["progress"]
    assert progress == {"all": 40, "moved": 28, "excepted": 1, "left": 1, "held_out": 10}
    assert changes.shown(rollout)["status"] == "done"
    for payer in customers.payers[20:]:
        assert money.account(payer, "receivable") == -money.account(payer, "revenue"), "it accrues"


def announced(customers: Customers, second: str) -> tuple[str, set[str]]:
    """The price change for all forty, ten of whom are held out; usage of March comes."""
    changes = customers.changes
    customers.money.at(3, 10)
    customers.all_use()
    rollout = changes.announce(second, effective_at="2026-04-15T00:00:00Z")
    out = {payer for number, payer in enumerate(customers.payers) if number % 4 == 3}
    changes.act(rollout, "hold-out", subscriptions=changes.names(*out))
    assert changes.shown(rollout)["progress"] == {"all": 40, "notified": 30, "held_out": 10}
    return rollout, out


def previews(customers: Customers, second: str, out: set[str]) -> dict[str, Decimal]:
    """What each of the thirty is shown for the usage of March under the new price; the ten see nothing."""
    shown = {}
    for number, payer in enumerate(customers.payers):
        found = upcoming(customers.money, payer)
        so_far = found["current_period"]["so_far"]
        used = customers.use(number)
        assert Decimal(so_far["current"]) == old_price(used)
        if payer in out:
            assert (found["upcoming_version"], so_far["upcoming"]) == (None, None)
            continue
        assert (found["upcoming_version"], found["effective_at"]) == (second, "2026-05-01T00:00:00Z")
        shown[payer] = Decimal(so_far["upcoming"])
        assert shown[payer] == new_price(used)
        assert Decimal(so_far["difference"]) == new_price(used) - old_price(used)
        assert lines(so_far)["platform"] == ("10", "12", "2")
    assert len(shown) == 30
    return shown


def upgrade(customers: Customers, payer: str) -> None:
    """One goes to a larger plan in the middle of April, and is charged what its preview says."""
    larger = PriceChanges(customers.money, "large")
    top = larger.publish(per_unit("tok", "0.01"), base_fees=[FEE | {"amount": "40"}])
    address = f"/v1/subscriptions/{customers.changes.subscriptions[payer]}/change"
    body: dict[str, Any] = {"plan_version": top}
    preview = customers.money.api.post(f"{address}/preview", body).json()
    assert customers.money.api.post(address, body).status_code == 200
    # Half of April's 10 goes back, half of 40 is due.
    assert (preview["total"], customers.spent()[payer]) == ("15", 15)


def check_may(customers: Customers, shown: dict[str, Decimal], own_way: set[str], out: set[str]) -> None:
    """In May whoever moved is charged what it was shown for the same usage; the others as before."""
    spent = customers.spent()
    for number, payer in enumerate(customers.payers):
        used = customers.use(number)
        if payer in own_way:
            expected = old_price(used) if number == 0 else 40 + used * Decimal("0.01")
        else:
            expected = old_price(used) if payer in out else shown[payer]
        assert spent[payer] == expected, number
