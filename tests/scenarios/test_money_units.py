"""Money in every unit and of every size: yen, dinars, credits of one's own, the huge and the tiny."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db


def test_a_payer_in_yen_pays_fractions_of_a_yen(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(
        money.plan(per_unit("tok", "0.333333333333333333"), currency="JPY"), currency="JPY", top_up="2"
    )
    assert money.charge(payer, tok=3) == "0.999999999999999999"
    assert money.charge(payer, tok=3) == "0.999999999999999999"
    assert money.settled(payer) == Decimal("0.000000000000000002")
    assert money.refused(payer, tok=1) == "insufficient_funds"


def test_a_payer_in_dinars_pays_thousandths(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(per_unit("tok", "0.0005"), currency="KWD"), currency="KWD", top_up="1.001")
    assert money.charge(payer, tok=2001) == "1.0005"
    assert money.charge(payer, tok=1) == "0.0005"
    assert money.settled(payer) == 0
    assert money.refused(payer, tok="0.000000000001") == "insufficient_funds"


def test_a_payer_in_credits_of_our_own(money: Story) -> None:
    money.meter("tok")
    money.api.make(
        "/v1/currencies", code="CREDITS", name="Credits", decimals=0, price="0.01", price_currency="EUR"
    )
    money.api.make(
        "/v1/exchange-rates", base="EUR", quote="USD", rate="1.25", starts_at="2026-01-01T00:00:00Z"
    )
    payer = money.payer(money.plan(per_unit("tok", "2"), currency="CREDITS"), currency="CREDITS")
    money.top_up(payer, "100", price="0.90", price_currency="EUR")
    (grant,) = money.api.get("/v1/credit-grants", billing_entity=payer).json()["data"]
    assert grant["cost_basis"] == "0.009"
    answer = money.api.post(
        "/v1/charges",
        {
            "idempotency_key": "x",
            "event": "call",
            "billing_entity": payer,
            "properties": {"tok": 10},
            "costs": [{"vendor": "v", "amount": "0.0625", "currency": "USD"}],
        },
    ).json()
    # 0.0625 USD = 0.05 EUR = 5 credits
    assert (answer["amount"], answer["cost"], answer["currency"]) == ("20", "5", "CREDITS")
    assert money.settled(payer) == 80


def test_a_plan_in_another_currency_is_not_for_this_payer(money: Story) -> None:
    money.meter("tok")
    version, payer = money.plan(per_unit("tok", "1"), currency="JPY"), money.payer()
    body = {"billing_entity": payer, "plan_version": version}
    assert money.api.post("/v1/subscriptions", body).status_code in (400, 422)


def test_the_largest_amounts_that_there_may_be(money: Story) -> None:
    money.meter("tok")
    top = "99999999999999999999.999999999999999999"
    payer = money.payer(money.plan(per_unit("tok", "9")), top_up=top)
    assert money.charge(payer, tok=10**19) == "90000000000000000000"
    assert money.settled(payer) == Decimal("9999999999999999999.999999999999999999")
    too_much = money.ask(payer, tok=99_999_999_999_999_999_999)
    assert (too_much.status_code, too_much.json()["error"]["code"]) == (400, "number_out_of_range")
    assert money.ask(payer, tok=10**20).json()["error"]["code"] == "number_out_of_range"
    money.top_up(payer, top)
    money.top_up(payer, top)
    assert money.settled(payer) == Decimal("209999999999999999999.999999999999999997")


def test_usage_that_adds_up_beyond_what_one_event_may_bring(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(per_unit("tok", "0.000000000000000001")), overdraft=None)
    most = 99_999_999_999_999_999_999
    assert [money.charge(payer, tok=most) for _ in range(3)] == ["99.999999999999999999"] * 3
    assert money.settled(payer) == Decimal("-299.999999999999999997")


def test_the_smallest_amounts_are_rounded_over_the_whole(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(per_unit("tok", "0.000000000000000001")), top_up="0.000000000000000002")
    # F after 0.4, 0.8, 1.2, 1.6, 2.0 units at 1e-18 is 0, 1, 1, 2, 2 of the last digit.
    assert [money.charge(payer, tok="0.4") for _ in range(5)] == [
        "0",
        "0.000000000000000001",
        "0",
        "0.000000000000000001",
        "0",
    ]
    assert money.settled(payer) == 0
    assert money.charge(payer, tok="0.000000000001") == "0"
    assert money.refused(payer, tok=1) == "insufficient_funds"


def test_a_trillion_tiny_prices_make_one_cent(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(per_unit("tok", "0.00000000000001")), top_up="0.01")
    money.report(payer, *({"tok": 10**10} for _ in range(100)))
    assert money.settled(payer) == 0
    assert money.account(payer, "revenue") == Decimal("0.01")
