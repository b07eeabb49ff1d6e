"""A payer in yen and one in dinars through a whole cycle: a start in mid-month, credits, usage, an upgrade,
a renewal, the close with its minimum, late usage and its reversal, a coupon; every amount by hand."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest

from billing.models import ClosingLine, CouponCredit
from core.numbers import CONTEXT, plain
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit

pytestmark = pytest.mark.django_db


def part(amount: Decimal, days: int) -> Decimal:
    """So many days of March's 31, half up to 18 decimals."""
    exact = CONTEXT.divide(CONTEXT.multiply(amount, Decimal(days)), Decimal(31))
    return exact.quantize(Decimal("1e-18"), ROUND_HALF_UP, CONTEXT)


def versions(life: LifeStory, currency: str, one: Decimal) -> tuple[str, str]:
    """A small plan with a minimum and a large one, in units of `one`."""

    def money(amount: str) -> str:
        return plain(Decimal(amount) * one)

    life.meter("tok")
    fee = {"key": "platform", "timing": "in_advance", "prorate": True}
    credit = {"key": "monthly", "amount": money("100"), "every": "month"}
    small = life.plan(
        per_unit("tok", money("0.333"), minimum=money("310")),
        currency=currency,
        base_fees=[fee | {"amount": money("1000")}],
        credits=[credit],
    )
    large = life.plan(
        per_unit("tok", money("0.25")),
        currency=currency,
        base_fees=[fee | {"amount": money("3100")}],
        credits=[credit],
    )
    return small, large


@pytest.mark.parametrize(
    ("currency", "unit"), [("JPY", "1"), ("KWD", "0.001"), ("USD", "0.01"), ("CLF", "0.0001")]
)
def test_a_whole_cycle(life: LifeStory, currency: str, unit: str) -> None:
    one = Decimal(unit)

    def money(amount: str) -> str:
        return plain(Decimal(amount) * one)

    small, large = versions(life, currency, one)
    payer = life.payer(top_up=money("9000"), currency=currency)
    life.at(3, 11)
    subscription = life.start(payer, small)
    paid = part(1000 * one, 21) - 100 * one
    assert life.charge(payer, tok=100) == money("33.3")
    life.at(3, 21)
    life.do(subscription, "change", plan_version=large)
    paid += Decimal("33.3") * one - part(1000 * one, 11) + 1100 * one
    assert life.charge(payer, tok=1000) == money("250")
    paid += 250 * one
    assert life.settled(payer) == 9000 * one - paid
    life.at(4, 1)
    life.run_due()
    paid += 3100 * one - 100 * one
    life.at(4, 3)
    life.run_due()
    # Ten of 31 days of the minimum of 310 are 100, of which usage made 33.3.
    assert [(line.kind, line.amount) for line in ClosingLine.objects.exclude(amount=0)] == [
        ("minimum", Decimal("66.7") * one)
    ]
    paid += Decimal("66.7") * one
    assert life.settled(payer) == 9000 * one - paid
    # 66.6 of usage are still within the minimum; then 133.2 are 33.2 above it.
    assert life.charge(payer, occurred_at="2026-03-15T00:00:00Z", tok=100) == "0"
    late = life.ask(payer, occurred_at="2026-03-16T00:00:00Z", tok=200).json()
    assert late["amount"] == money("33.2")
    assert life.settled(payer) == 9000 * one - paid - Decimal("33.2") * one
    back = life.api.make("/v1/reversals", event=late["id"].replace("ch_", "evt_"), reason="twice")
    assert back["amount"] == money("-33.2")
    assert life.charge(payer, tok=400) == money("100")
    paid += 100 * one
    assert life.settled(payer) == 9000 * one - paid
    made = life.api.make("/v1/coupons", key="half", percent="50", components=["platform"], periods=1)
    redeemed = life.api.post(f"/v1/coupons/{made['key']}/redeem", {"subscription": subscription})
    assert redeemed.status_code == 201, redeemed.content
    life.at(5, 3)
    life.run_due()
    paid += 3100 * one - 100 * one - 1550 * one
    assert [plain(row.amount) for row in CouponCredit.objects.all()] == [money("1550")]
    assert life.settled(payer) == 9000 * one - paid
    for charge in life.api.get("/v1/charges", billing_entity=payer, limit="100").json()["data"]:
        proof = life.api.post(f"/v1/charges/{charge['id']}/recompute", {}).json()
        assert proof["matches"], proof
