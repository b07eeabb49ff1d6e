"""Price changes, dated and through the API; every total worked out by hand beside it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import pytest

from billing.models import OutboxMessage
from core.ids import row_id
from pricing.models import Subscription
from pricing.rollouts import upcoming_changes
from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db

FEE_1 = [{"key": "platform", "amount": "10", "timing": "in_advance", "prorate": True}]
FEE_2 = [{"key": "platform", "amount": "12", "timing": "in_advance", "prorate": True}]


@dataclass
class Forty:
    """Forty customers on v1: thirty in the price change, eight held out for ever, two until June."""

    changes: PriceChanges
    first: str
    payers: list[str]
    second: str = ""
    rollout: str = ""

    @property
    def money(self) -> Story:
        return self.changes.story

    @property
    def thirty(self) -> list[str]:
        return self.payers[:30]

    @property
    def for_ever(self) -> list[str]:
        return self.payers[30:38]

    @property
    def until_june(self) -> list[str]:
        return self.payers[38:]

    def charge_all(self, tok: int) -> list[str]:
        return [self.money.charge(payer, tok=tok) for payer in self.payers]

    def versions(self, payers: list[str]) -> set[str]:
        return {self.changes.on(payer) for payer in payers}


def test_forty_customers_and_a_price_change_for_thirty(money: Story, changes: PriceChanges) -> None:
    first = changes.publish(per_unit("tok", "0.01"), base_fees=FEE_1)
    forty = Forty(changes, first, changes.customers(40, first, top_up="100"))
    assert forty.charge_all(100) == ["1"] * 40
    _publish_the_second(forty)
    _announce(forty)
    _decide(forty)
    money.at(4, 20)
    changes.due()
    assert forty.charge_all(200) == ["2"] * 40
    assert forty.versions(forty.payers) == {first}, "the fifteenth is no renewal"
    money.at(5, 1)
    changes.due()
    assert [changes.on(payer) for payer in forty.payers] == [first] + [forty.second] * 29 + [first] * 10
    assert changes.shown(forty.rollout)["status"] == "running"
    assert forty.charge_all(300) == ["3"] + ["6"] * 29 + ["3"] * 10
    for month in (6, 7):
        money.at(month, 1)
        changes.due()
    _check_the_end(forty)


def _publish_the_second(forty: Forty) -> None:
    money, changes = forty.money, forty.changes
    money.at(3, 5)
    forty.second = changes.publish(per_unit("tok", "0.02"), base_fees=FEE_2)
    changes.due()
    assert forty.versions(forty.payers) == {forty.first}, "publishing moves nobody"
    newcomer = money.payer(top_up="100")
    changes.start(newcomer, plan="pro")
    assert (changes.on(newcomer), money.charge(newcomer, tok=100)) == (forty.second, "2")


def _announce(forty: Forty) -> None:
    changes = forty.changes
    forty.money.at(3, 10)
    cohort = {"from_versions": [forty.first]}
    forty.rollout = changes.announce(forty.second, effective_at="2026-04-15T00:00:00Z", cohort=cohort)
    assert changes.shown(forty.rollout)["progress"] == {"all": 40, "notified": 40}
    assert {row["effective_at"] for row in changes.members(forty.rollout)} == {"2026-05-01T00:00:00Z"}
    assert OutboxMessage.objects.filter(kind="rollout.notice").count() == 40


def _decide(forty: Forty) -> None:
    """Ten are held out; one of the thirty is negotiated out after it has acknowledged."""
    changes, rollout, thirty = forty.changes, forty.rollout, forty.thirty
    changes.act(rollout, "hold-out", subscriptions=changes.names(*forty.for_ever))
    until_june = changes.names(*forty.until_june)
    changes.act(rollout, "hold-out", subscriptions=until_june, until="2026-06-15T00:00:00Z")
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[thirty[0]], by="ann@example.com")
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[thirty[1]])
    changes.act(rollout, "except", subscriptions=changes.names(thirty[0]), reason="a new contract")
    progress = changes.shown(rollout)["progress"]
    assert progress == {"all": 40, "notified": 28, "acknowledged": 1, "excepted": 1, "held_out": 10}


def _check_the_end(forty: Forty) -> None:
    money, changes = forty.money, forty.changes
    assert forty.versions(forty.until_june) == {forty.second}
    assert forty.versions(forty.for_ever) == {forty.first}
    shown = changes.shown(forty.rollout)
    assert (shown["status"], shown["done_at"]) == ("done", "2026-07-01T00:00:00Z")
    assert shown["progress"] == {"all": 40, "moved": 31, "excepted": 1, "held_out": 8}
    # March to July on v1: five fees of 10, and 1 + 2 + 3 of usage.
    stayed = Decimal(100) - 5 * 10 - 6
    # On v2 from May: fees of 12 for May, June and July, and the usage of May at the double price.
    moved = Decimal(100) - 2 * 10 - 3 * 12 - (1 + 2 + 6)
    # On v2 from July: one fee of 12.
    late = Decimal(100) - 4 * 10 - 12 - 6
    settled = [money.settled(payer) for payer in forty.payers]
    assert settled == [stayed] + [moved] * 29 + [stayed] * 8 + [late] * 2
    revenue = sum((money.account(payer, "revenue") for payer in forty.payers), Decimal(0))
    assert revenue == 9 * 56 + 29 * 65 + 2 * 58 == 2505


def test_upcoming_is_what_is_announced(money: Story, changes: PriceChanges) -> None:
    first = changes.publish(per_unit("tok", "0.01"))
    second = changes.publish(per_unit("tok", "0.02"))
    told, held, kept, excepted = changes.customers(4, first)
    rollout = changes.draft(second, effective_at="2026-04-10T00:00:00Z", cohort={"plans": ["pro"]})
    assert _upcoming(money, changes, told) is None, "a draft is nobody's business"
    changes.act(rollout, "announce")
    changes.act(rollout, "hold-out", subscriptions=changes.names(held), until="2026-05-02T00:00:00Z")
    changes.act(rollout, "hold-out", subscriptions=changes.names(kept))
    changes.act(rollout, "except", subscriptions=changes.names(excepted), reason="loyal")
    assert _upcoming(money, changes, told) == (second, "2026-05-01")
    assert _upcoming(money, changes, held) == (second, "2026-06-01")
    assert _upcoming(money, changes, kept) is None
    assert _upcoming(money, changes, excepted) is None
    changes.act(rollout, "pause")
    assert _upcoming(money, changes, told) == (second, "2026-05-01"), "a pause is no cancellation"
    changes.act(rollout, "cancel")
    assert _upcoming(money, changes, told) is None


def _upcoming(money: Story, changes: PriceChanges, payer: str) -> tuple[str, str] | None:
    subscription = Subscription.objects.get(pk=row_id("sub", changes.subscriptions[payer]))
    found = upcoming_changes([subscription], money.now).get(subscription.pk)
    return None if found is None else (found.version.public_id, found.effective_at.date().isoformat())


def test_a_worker_that_comes_late_moves_as_of_the_date_that_was_announced(
    money: Story, changes: PriceChanges
) -> None:
    first = changes.publish(per_unit("tok", "1"), base_fees=FEE_1)
    second = changes.publish(per_unit("tok", "2"), base_fees=FEE_2)
    (payer,) = changes.customers(1, first, top_up="100")
    rollout = changes.announce(second, effective_at="2026-04-10T00:00:00Z")
    for day in (1, 20):
        money.at(4, day)
        changes.due()
    assert money.charge(payer, tok=3) == "3"
    money.at(5, 3)
    assert money.charge(payer, tok=5) == "5", "no worker has been there"
    changes.due()
    assert changes.member(rollout, payer)["moved_at"] == "2026-05-03T00:00:00Z"
    assert money.charge(payer, tok=1) == "2"
    # March and April at 10, May at 12; 3 at 1 in April, 5 + 1 at 2 in May: the five were rated anew.
    assert money.settled(payer) == 100 - 2 * 10 - 12 - 3 - 12


def test_an_upgrade_on_the_fifteenth_takes_one_out_of_the_price_change(
    money: Story, changes: PriceChanges
) -> None:
    first = changes.publish(per_unit("tok", "1"), base_fees=FEE_1)
    second = changes.publish(per_unit("tok", "2"), base_fees=FEE_2)
    larger = PriceChanges(money, "large")
    dear = [FEE_1[0] | {"amount": "40"}]
    top = larger.publish(per_unit("tok", "0.5"), base_fees=dear)
    stays, upgrades = changes.customers(2, first, top_up="100")
    money.at(4, 1)
    changes.due()
    rollout = changes.announce(second, effective_at="2026-05-01T00:00:00Z")
    money.at(4, 10)
    assert money.charge(upgrades, tok=4) == "4"
    money.at(4, 16)
    answer = money.api.post(
        f"/v1/subscriptions/{changes.subscriptions[upgrades]}/change", {"plan_version": top}
    )
    assert answer.status_code == 200, answer.content
    assert money.charge(upgrades, tok=4) == "2"
    money.at(5, 1)
    changes.due()
    assert changes.member(rollout, upgrades)["state"] == "left"
    assert changes.member(rollout, stays)["state"] == "moved"
    # March 10; April: half of 10 and half of 40 (15 of 30 days each); May 40; usage 4 + 2.
    assert money.settled(upgrades) == 100 - 10 - 5 - 20 - 40 - 6
    assert money.settled(stays) == 100 - 2 * 10 - 12
