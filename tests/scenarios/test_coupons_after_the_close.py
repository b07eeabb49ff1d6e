"""What comes, or is taken back, after a period with a coupon was closed: the coupon's part follows."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accounts.models import BillingEntity
from billing.models import CouponCredit
from config.environment import BASE_DIR
from core.numbers import plain
from tests.billing.kept_periods import whole
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers
from tests.scenarios.test_coupons import coupon

pytestmark = pytest.mark.django_db

IN_MARCH = "2026-03-20T00:00:00Z"
PLATFORM = {"key": "platform", "amount": "31", "prorate": True}
DOCUMENT: Path = BASE_DIR / "docs" / "algorithms" / "coupons.md"


def documented() -> list[tuple[str, ...]]:
    """The rows of the table in docs/algorithms/coupons.md."""
    text = DOCUMENT.read_text().partition("| coupon | minimum |")[2]
    lines = [line for line in text.splitlines()[2:] if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def corrections() -> list[tuple[str, str, str]]:
    """(key, what the line had come to, by how much the coupons' part changed) after the close."""
    rows = CouponCredit.objects.exclude(event_id=None).order_by("seq")
    return [(row.key, plain(row.line_amount), plain(row.amount)) for row in rows]


def late(life: LifeStory, payer: str, key: str, **properties: Any) -> str:
    """The amount of a charge for March."""
    body = {"idempotency_key": key, "event": "call", "workspace": f"w-{payer}", "occurred_at": IN_MARCH}
    answer = life.api.post("/v1/charges", body | {"properties": properties})
    assert answer.status_code == 201, answer.content
    return str(answer.json()["amount"])


def reverse(life: LifeStory, key: str) -> str:
    """What taking an event back comes to."""
    return str(life.api.make("/v1/reversals", event=key, reason="a mistake")["amount"])


def close_march(life: LifeStory) -> None:
    life.at(4, 3)
    life.run_due()


def terms_of(text: str) -> dict[str, Any]:
    """`50 % of img`, `12`."""
    worth, _, only = text.partition(" of ")
    components = {"components": [only]} if only else {"components": ["tok", "img"]}
    if worth.endswith("%"):
        return {"percent": worth.removesuffix("%").strip()} | components
    return {"amount": worth, "currency": "USD"} | components


@pytest.mark.parametrize(("terms", "minimum", "event", "changes_line", "changes_coupon"), documented())
def test_the_documented_table(
    life: LifeStory, terms: str, minimum: str, event: str, changes_line: str, changes_coupon: str
) -> None:
    life.meter("tok")
    life.meter("img")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1", minimum=minimum), per_unit("img", "1")))
    coupon(life, subscription, **terms_of(terms))
    life.at(3, 20)
    assert late(life, payer, "in time", tok=10) == "10"
    close_march(life)
    before = life.settled(payer)
    quantity, _, what = event.partition(" ")
    amount = late(life, payer, "late", tok=int(quantity)) if what == "late" else reverse(life, "in time")
    assert amount == changes_line
    made = corrections()
    assert [row[2] for row in made] == ([changes_coupon] if changes_coupon != "0" else [])
    assert life.settled(payer) == before - Decimal(changes_line) + Decimal(changes_coupon)


def test_everything_taken_back_leaves_nothing_paid(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    coupon(life, subscription, percent="50", periods=1)
    life.at(3, 20)
    late(life, payer, "in time", tok=10)
    close_march(life)
    late(life, payer, "late", tok=6)
    assert life.settled(payer) == 1000 - 8
    assert reverse(life, "in time") == "-10"
    assert life.settled(payer) == 1000 - 3
    assert reverse(life, "late") == "-6"
    assert life.settled(payer) == 1000
    assert corrections() == [("tok", "16", "3"), ("tok", "6", "-5"), ("tok", "0", "-3")]


def test_what_is_absorbed_is_no_part_of_the_line(life: LifeStory) -> None:
    life.meter("tok", late_policy="absorb")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    coupon(life, subscription, percent="50")
    life.at(3, 20)
    late(life, payer, "in time", tok=10)
    close_march(life)
    assert late(life, payer, "late", tok=6) == "6"
    assert (corrections(), life.settled(payer), life.account(payer, "leakage")) == ([], 995, -6)
    assert reverse(life, "late") == "-6"
    assert (corrections(), life.settled(payer), life.account(payer, "leakage")) == ([], 995, 0)


def test_an_amount_moves_from_line_to_line(life: LifeStory) -> None:
    life.meter("tok")
    life.meter("img")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1"), per_unit("img", "1")))
    coupon(life, subscription, amount="12", currency="USD")
    life.at(3, 20)
    late(life, payer, "a", tok=5, img=20)
    close_march(life)
    assert late(life, payer, "b", tok=4) == "4"
    # 5 and 7 of 12; now 9 and 3.
    assert corrections() == [("img", "20", "-4"), ("tok", "9", "4")]
    assert life.settled(payer) == 1000 - 29 + 12


def test_what_settles_at_the_close_is_settled_again_with_its_coupon(life: LifeStory) -> None:
    life.meter("tok", "avg")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "3"), base_fees=[PLATFORM]))
    coupon(life, subscription, percent="10", components=["tok"])
    life.report(payer, {"tok": 10})
    close_march(life)
    assert life.settled(payer) == 1000 - 30 + 3 - 62
    life.report(payer, {"tok": 20}, occurred_at=IN_MARCH)
    # The mean is 15 now, 45 in all.
    assert corrections() == [("tok", "45", "1.5")]
    assert life.settled(payer) == 1000 - 45 + Decimal("4.5") - 62


def test_an_invoiced_payer_and_one_with_grants_get_back_where_they_paid(life: LifeStory) -> None:
    life.meter("tok")
    plan = life.plan(per_unit("tok", "1"))
    invoiced = life.payer(settlement="invoice_only", overdraft=None)
    granted = life.payer()
    life.grant(granted, "100", components=["tok"])
    for payer in (invoiced, granted):
        subscription = life.start(payer, plan)
        life.api.post("/v1/coupons", {"key": "half", "percent": "50"})
        redeemed = life.api.post("/v1/coupons/half/redeem", {"subscription": subscription})
        assert redeemed.status_code == 201, redeemed.content
        life.at(3, 20)
        late(life, payer, "in time", tok=10)
        life.at(3, 1)
    close_march(life)
    for payer in (invoiced, granted):
        late(life, payer, "late", tok=6)
    assert life.account(invoiced, "receivable") == -8
    assert life.remaining(granted) == ["92"]
    for payer in (invoiced, granted):
        customer = life.api.get(f"/v1/billing-entities/{payer}").json()["customer"]
        life.api.make("/v1/reversals", event="in time", customer=customer, reason="a mistake")
    assert (life.account(invoiced, "receivable"), life.remaining(granted)) == (-3, ["97"])


def test_many_late_events_in_one_batch_correct_the_coupon_once(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    subscription = life.start(payer, life.plan(per_unit("tok", "1")))
    coupon(life, subscription, percent="25")
    close_march(life)
    life.report(payer, *({"tok": 4} for _ in range(10)), occurred_at=IN_MARCH)
    assert corrections() == [("tok", "40", "10")]
    assert life.settled(payer) == 970


VOLUME = {"key": "tok", "meter": "tok", "model": "volume"} | {
    "tiers": tiers(("10", "1"), ("20", "0.4"), (None, "0.1"))
}


def test_a_line_that_falls_twice_in_one_batch_returns_to_nobody_more_than_was_paid(life: LifeStory) -> None:
    life.meter("tok")
    life.meter("other")
    payer = life.payer(settlement="wallet_then_invoice", overdraft=None)
    subscription = life.start(payer, life.plan(VOLUME, per_unit("other", "1")))
    life.grant(payer, "10")
    coupon(life, subscription, percent="50", components=["tok"], periods=1)
    life.at(3, 20)
    life.report(payer, {"tok": 10}, occurred_at=IN_MARCH)
    close_march(life)
    assert life.remaining(payer) == ["5"]
    life.charge(payer, other=5)
    life.report(payer, {"tok": 2}, {"tok": 10}, occurred_at=IN_MARCH)
    # 10 falls to 4.8: 2.6 of the coupon are owed, and go first, then 2.6 come back to the grant.
    # 4.8 falls to 2.2: the grant pays 1.3 of the coupon again, and gets 2.6 back.
    assert corrections() == [("tok", "4.8", "-2.6"), ("tok", "2.2", "-1.3")]
    assert (life.remaining(payer), life.account(payer, "receivable")) == (["3.9"], 0)


def test_who_paid_a_coupons_part_again_gets_it_back_before_who_had_got_it(life: LifeStory) -> None:
    life.meter("tok")
    life.meter("other")
    payer = life.payer(settlement="wallet_then_invoice", overdraft=None)
    subscription = life.start(payer, life.plan(per_unit("tok", "1"), per_unit("other", "1")))
    life.grant(payer, "10")
    coupon(life, subscription, percent="50", components=["tok"], periods=1)
    life.at(3, 20)
    late(life, payer, "in time", tok=10)
    close_march(life)
    life.charge(payer, other=5)
    assert reverse(life, "in time") == "-10"
    assert (life.remaining(payer), life.account(payer, "receivable")) == (["5"], 0)


def test_a_settled_line_returns_to_who_paid_its_coupons_part_again(life: LifeStory) -> None:
    life.meter("tok", "latest")
    life.meter("other")
    payer = life.payer(settlement="wallet_then_invoice", overdraft=None)
    subscription = life.start(payer, life.plan(per_unit("tok", "1"), per_unit("other", "1")))
    life.grant(payer, "10")
    coupon(life, subscription, percent="50", components=["tok"], periods=1)
    life.report(payer, {"tok": 10})
    close_march(life)
    life.charge(payer, other=5)
    life.report(payer, {"tok": 0}, occurred_at=IN_MARCH)
    assert (life.remaining(payer), life.account(payer, "receivable")) == (["5"], 0)


def test_a_minimum_that_the_close_booked_returns_to_who_paid_it(life: LifeStory) -> None:
    """In March 2 of `tok` are charged to the grant and 18 of its minimum are owed; 28 late are owed too."""
    life.meter("tok")
    payer = life.payer(settlement="wallet_then_invoice", overdraft=None)
    subscription = life.start(payer, life.plan(per_unit("tok", "1", minimum="20")))
    life.grant(payer, "2")
    coupon(life, subscription, percent="50", components=["tok"], periods=1)
    life.at(3, 20)
    late(life, payer, "in time", tok=2)
    close_march(life)
    assert (life.remaining(payer), life.account(payer, "receivable")) == (["0"], -8)
    assert late(life, payer, "late", tok=28) == "10"
    assert life.account(payer, "receivable") == -13
    assert reverse(life, "late") == "-10"
    assert (life.remaining(payer), life.account(payer, "receivable")) == (["0"], -8)


def test_a_period_with_a_margin_floor_counts_what_is_paid_again_for_a_coupon(life: LifeStory) -> None:
    life.meter("tok")
    payer = life.payer(top_up="1000")
    plan = life.plan(per_unit("tok", "1"), margin_floor={"min_margin": "0.4", "min_volume": "3"})
    subscription = life.start(payer, plan)
    coupon(life, subscription, percent="50", periods=1)
    life.at(3, 20)
    late(life, payer, "in time", tok=10)
    late(life, payer, "mistake", tok=6)
    close_march(life)
    assert reverse(life, "mistake") == "-6"
    assert corrections() == [("tok", "10", "-3")]
    assert whole(BillingEntity.objects.get()).revenue == 5
