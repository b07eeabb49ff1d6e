"""Price changes, dated and through the API; every total worked out by hand beside it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from billing.models import OutboxMessage
from core.ids import row_id
from pricing.models import Subscription
from pricing.rollouts import upcoming_change
from tests.scenarios.changes import PriceChanges
from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db

FEE_1 = [{"key": "platform", "amount": "10", "timing": "in_advance", "prorate": True}]
FEE_2 = [{"key": "platform", "amount": "12", "timing": "in_advance", "prorate": True}]


@pytest.fixture
def changes(money: Story) -> PriceChanges:
    money.meter("tok")
    return PriceChanges(money)


def test_forty_customers_and_a_price_change_for_thirty(money: Story, changes: PriceChanges) -> None:
    first = changes.publish(per_unit("tok", "0.01"), base_fees=FEE_1)
    payers = changes.customers(40, first, top_up="100")
    for payer in payers:
        assert money.charge(payer, tok=100) == "1"

    money.at(3, 5)
    second = changes.publish(per_unit("tok", "0.02"), base_fees=FEE_2)
    changes.due()
    assert {changes.on(payer) for payer in payers} == {first}, "publishing moves nobody"
    newcomer = money.payer(top_up="100")
    changes.start(newcomer, plan="pro")
    assert (changes.on(newcomer), money.charge(newcomer, tok=100)) == (second, "2")

    money.at(3, 10)
    rollout = changes.announce(second, effective_at="2026-04-15T00:00:00Z", cohort={"from_versions": [first]})
    assert changes.shown(rollout)["progress"] == {"all": 40, "notified": 40}
    assert {row["effective_at"] for row in changes.members(rollout)} == {"2026-05-01T00:00:00Z"}
    assert OutboxMessage.objects.filter(kind="rollout.notice").count() == 40
    moving, held_for_ever, held_until_june = payers[:30], payers[30:38], payers[38:]
    changes.act(rollout, "hold-out", subscriptions=changes.names(*held_for_ever))
    changes.act(
        rollout,
        "hold-out",
        subscriptions=changes.names(*held_until_june),
        until="2026-06-15T00:00:00Z",
    )
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[moving[0]], by="ann@example.com")
    changes.act(rollout, "acknowledge", subscription=changes.subscriptions[moving[1]])
    changes.act(rollout, "except", subscriptions=changes.names(moving[0]), reason="a new contract")
    assert changes.shown(rollout)["progress"] == {
        "all": 40,
        "notified": 28,
        "acknowledged": 1,
        "excepted": 1,
        "held_out": 10,
    }

    money.at(4, 20)
    changes.due()
    for payer in payers:
        assert money.charge(payer, tok=200) == "2"
    assert {changes.on(payer) for payer in payers} == {first}, "the fifteenth is no renewal"

    money.at(5, 1)
    changes.due()
    assert [changes.on(payer) for payer in payers] == [first] + [second] * 29 + [first] * 10
    assert changes.shown(rollout)["status"] == "running"
    for payer in payers:
        amount = "6" if payer in moving[1:] else "3"
        assert money.charge(payer, tok=300) == amount

    for month in (6, 7):
        money.at(month, 1)
        changes.due()
    assert [changes.on(payer) for payer in held_until_june] == [second] * 2
    assert [changes.on(payer) for payer in held_for_ever] == [first] * 8
    shown = changes.shown(rollout)
    assert (shown["status"], shown["done_at"]) == ("done", "2026-07-01T00:00:00Z")
    assert shown["progress"] == {"all": 40, "moved": 31, "excepted": 1, "held_out": 8}

    # March to July on v1: five fees of 10, and 1 + 2 + 3 of usage.
    stayed = Decimal(100) - 5 * 10 - 6
    # On v2 from May: fees of 12 for May, June and July, and the usage of May at the double price.
    moved = Decimal(100) - 2 * 10 - 3 * 12 - (1 + 2 + 6)
    # On v2 from July: one fee of 12.
    late = Decimal(100) - 4 * 10 - 12 - 6
    expected = [stayed] + [moved] * 29 + [stayed] * 8 + [late] * 2
    assert [money.settled(payer) for payer in payers] == expected
    revenue = sum((money.account(payer, "revenue") for payer in payers), Decimal(0))
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
    found = upcoming_change(subscription, money.now)
    return None if found is None else (found.version.public_id, found.effective_at.date().isoformat())
