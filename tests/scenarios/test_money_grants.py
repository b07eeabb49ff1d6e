"""Blocks of credit through the calendar: who pays first, what expires, what is overdrawn, what comes back."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.scenarios.money import Story, per_unit, tiers

pytestmark = pytest.mark.django_db
VOLUME = {"key": "tok", "meter": "tok", "model": "volume", "tiers": tiers(("10", "1"), (None, "0.5"))}


def priced(money: Story, **fields: object) -> str:
    """A payer on 1 per `tok` and 1 per `img`."""
    money.meter("tok")
    money.meter("img")
    return money.payer(money.plan(per_unit("tok", "1"), per_unit("img", "1")), **fields)  # type: ignore[arg-type]


def test_grants_burn_by_priority_then_expiry_then_kind_then_age(money: Story) -> None:
    payer = priced(money)
    money.grant(payer, "1", kind="paid")  # 5th: no expiry, paid, older
    money.grant(payer, "1", kind="paid")  # 6th
    money.grant(payer, "1", kind="promotional")  # 4th: promotional before paid
    money.grant(payer, "1", kind="paid", expires_at="2026-05-01T00:00:00Z")  # 3rd
    money.grant(payer, "1", kind="paid", expires_at="2026-04-01T00:00:00Z")  # 2nd
    money.grant(payer, "1", kind="paid", priority=1)  # 1st
    left = []
    for _ in range(6):
        money.charge(payer, tok=1)
        left.append("".join(money.remaining(payer)))
    assert left == ["111110", "111100", "111000", "110000", "010000", "000000"]


def test_a_grant_for_images_does_not_pay_for_tokens(money: Story) -> None:
    payer = priced(money, top_up="5")
    money.grant(payer, "10", components=["img"], priority=1)
    assert money.charge(payer, tok=4, img=3) == "7"
    assert money.remaining(payer) == ["1", "7"]
    assert money.refused(payer, tok=2) == "insufficient_funds"  # 8 in the wallet, 1 of it for tokens
    assert money.charge(payer, img=8) == "8"
    assert money.settled(payer) == 0


def test_credit_that_expires_is_breakage_at_the_next_touch(money: Story) -> None:
    payer = priced(money, top_up="5")
    money.grant(payer, "10", expires_at="2026-03-10T00:00:00Z")
    assert money.charge(payer, tok=4) == "4"
    money.at(3, 9, 23, 59)
    assert money.settled(payer) == 11
    money.at(3, 10)
    balance = money.balance(payer)
    assert (balance["settled"], balance["available"]) == ("5", "5")
    assert money.refused(payer, tok=6) == "insufficient_funds"
    assert money.charge(payer, tok=5) == "5"
    assert (money.account(payer, "breakage"), money.settled(payer)) == (6, 0)


def test_a_refusal_after_an_expiry_still_answers_the_true_balance(money: Story) -> None:
    payer = priced(money)
    money.grant(payer, "10", expires_at="2026-03-10T00:00:00Z")
    money.at(3, 10)
    answer = money.ask(payer, tok=1).json()
    assert answer["balance"] == {"available": "0", "settled": "0", "held": "0"}


def test_credit_of_the_future_pays_neither_now_nor_for_what_was_before(money: Story) -> None:
    payer = priced(money, overdraft="100")
    money.grant(payer, "10", effective_at="2026-03-05T00:00:00Z")
    assert money.settled(payer) == 0
    assert money.charge(payer, tok=2) == "2"
    assert money.settled(payer) == -2
    money.at(3, 5)
    assert money.settled(payer) == 8
    # Late usage of before is not for this grant: it overdraws the wallet, though the grant has value.
    assert money.charge(payer, occurred_at="2026-03-04T23:59:59Z", tok=1) == "1"
    assert money.settled(payer) == 7
    assert money.remaining(payer) == ["8"]  # 2 went to the overdraft that it met
    assert money.charge(payer, tok=8) == "8"
    assert money.settled(payer) == -1


def test_credit_that_begins_and_ends_between_two_calls_is_never_used(money: Story) -> None:
    payer = priced(money, top_up="5")
    money.grant(payer, "10", effective_at="2026-03-05T00:00:00Z", expires_at="2026-03-06T00:00:00Z")
    money.at(3, 7)
    assert money.settled(payer) == 5
    assert money.refused(payer, tok=6) == "insufficient_funds"
    assert money.charge(payer, tok=5) == "5"
    assert money.settled(payer) == 0


def test_a_floor_is_met_exactly_and_not_by_a_hair_more(money: Story) -> None:
    payer = priced(money, top_up="5", overdraft="2.5")
    assert money.refused(payer, tok="7.500000000001") == "insufficient_funds"
    assert money.charge(payer, tok="7.5") == "7.5"
    assert money.settled(payer) == Decimal("-2.5")
    assert money.balance(payer)["available"] == "0"
    assert money.refused(payer, tok="0.000000000001") == "insufficient_funds"
    assert money.charge(payer, tok=0) == "0"
    money.report(payer, {"tok": 1})
    assert money.settled(payer) == Decimal("-3.5")


def test_a_credit_limit_is_met_exactly_and_not_by_a_hair_more(money: Story) -> None:
    payer = priced(money, top_up="5", settlement="wallet_then_invoice", overdraft=None, credit_limit="2.5")
    assert money.refused(payer, tok="7.500000000001") == "insufficient_funds"
    assert money.charge(payer, tok="7.5") == "7.5"
    balance = money.balance(payer)
    assert (balance["settled"], balance["owed"], balance["available"]) == ("0", "2.5", "0")
    assert money.refused(payer, tok="0.000000000001") == "insufficient_funds"
    money.top_up(payer, "1")  # for what comes: what is owed stays owed
    assert money.charge(payer, tok=1) == "1"
    assert money.balance(payer)["owed"] == "2.5"


def test_an_invoiced_payer_leaves_its_grants_alone(money: Story) -> None:
    payer = priced(money, settlement="invoice_only", overdraft=None, credit_limit="10")
    money.grant(payer, "5")
    assert money.charge(payer, tok=10) == "10"
    assert money.remaining(payer) == ["5"]
    assert money.refused(payer, tok="0.1") == "insufficient_funds"


def test_a_top_up_first_fills_what_is_overdrawn(money: Story) -> None:
    payer = priced(money, overdraft=None)
    assert money.charge(payer, tok=7) == "7"
    money.top_up(payer, "3")
    assert (money.settled(payer), money.remaining(payer)) == (-4, ["0"])
    money.top_up(payer, "10")
    assert (money.settled(payer), money.remaining(payer)) == (6, ["0", "6"])
    money.api.make("/v1/adjustments", billing_entity=payer, amount="-8", reason="correction")
    assert (money.settled(payer), money.remaining(payer)) == (-2, ["0", "0"])
    money.api.make("/v1/adjustments", billing_entity=payer, amount="5", reason="correction")
    assert (money.settled(payer), money.remaining(payer)) == (3, ["0", "0", "3"])


def test_a_grant_for_images_does_not_fill_what_tokens_overdrew(money: Story) -> None:
    payer = priced(money, overdraft="5")
    assert money.charge(payer, tok=5) == "5"
    money.grant(payer, "4", components=["img"])
    assert money.remaining(payer) == ["4"]
    assert money.settled(payer) == -1
    assert money.refused(payer, tok=1) == "insufficient_funds"
    assert money.charge(payer, img=4) == "4"
    assert money.settled(payer) == -5


def test_what_comes_back_to_an_overdraft_that_was_filled_is_not_lost(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(VOLUME), overdraft=None)
    assert money.charge(payer, tok=10) == "10"  # nobody's grant: overdrawn by 10
    money.top_up(payer, "20")
    assert (money.settled(payer), money.remaining(payer)) == (10, ["10"])
    assert money.charge(payer, tok=2) == "-4"  # 12 at 0.5 are 6: 4 come back
    assert (money.settled(payer), money.remaining(payer)) == (14, ["14"])
    assert money.charge(payer, tok=28) == "14"
    assert (money.settled(payer), money.remaining(payer)) == (0, ["0"])


def test_what_comes_back_to_the_receivable_lowers_what_is_owed(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(
        money.plan(VOLUME), top_up="3", settlement="wallet_then_invoice", overdraft=None, credit_limit="7"
    )
    assert money.charge(payer, tok=10) == "10"  # 3 by the wallet, 7 owed
    assert money.charge(payer, tok=1) == "-4.5"  # the receivable paid last
    assert (money.balance(payer)["owed"], money.settled(payer)) == ("2.5", 0)
    assert money.charge(payer, tok="9") == "4.5"
    assert money.balance(payer)["owed"] == "7"


def test_what_comes_back_to_an_expired_grant_is_breakage_at_once(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(VOLUME), top_up="1")
    money.grant(payer, "12", expires_at="2026-03-10T00:00:00Z")
    assert money.charge(payer, tok=10) == "10"  # of the grant
    money.at(3, 10)
    answer = money.ask(payer, tok=1)  # -4.5, and the grant is over: its last 2 and these 4.5 are breakage
    assert answer.json()["amount"] == "-4.5"
    assert money.settled(payer) == 1
    assert money.account(payer, "breakage") == Decimal("6.5")
    assert money.refused(payer, tok=3) == "insufficient_funds"
    assert money.charge(payer, tok=2) == "1"


def test_what_comes_back_to_an_expired_grant_pays_for_nothing_in_the_same_batch(money: Story) -> None:
    money.meter("tok")
    payer = money.payer(money.plan(VOLUME), top_up="1")
    money.grant(payer, "10", expires_at="2026-03-10T00:00:00Z")
    assert money.charge(payer, tok=10) == "10"
    money.at(3, 10)
    money.report(payer, {"tok": 1}, {"tok": 4})  # -4.5 to breakage; 2 by the top-up and the overdraft
    assert money.account(payer, "breakage") == Decimal("4.5")
    assert money.settled(payer) == -1


def test_credit_that_was_there_between_two_calls_filled_the_overdraft_that_it_met(money: Story) -> None:
    payer = priced(money, overdraft=None)
    assert money.charge(payer, tok=7) == "7"
    money.grant(payer, "5", effective_at="2026-03-05T00:00:00Z", expires_at="2026-03-06T00:00:00Z")
    money.at(3, 5)
    assert money.settled(payer) == -2
    money.at(3, 7)
    assert money.settled(payer) == -2, "read as the next call will find it"
    assert money.charge(payer, tok=0) == "0"
    assert (money.settled(payer), money.account(payer, "breakage")) == (-2, 0)


def test_an_overdraft_is_filled_by_who_came_first_whenever_that_is_found(money: Story) -> None:
    payer = priced(money, overdraft=None)
    assert money.charge(payer, tok=5) == "5"
    money.grant(payer, "5", effective_at="2026-03-05T00:00:00Z", expires_at="2026-03-06T00:00:00Z")
    money.grant(payer, "5", effective_at="2026-03-07T00:00:00Z", priority=10)
    money.at(3, 8)
    assert money.settled(payer) == 5
    assert money.charge(payer, tok=0) == "0"
    assert (money.settled(payer), money.remaining(payer)) == (5, ["0", "5"])


def test_what_a_hold_counts_on_of_limited_credit_is_shown_until_it_ends(money: Story) -> None:
    payer = priced(money)
    money.grant(payer, "5", components=["img"], expires_at="2026-03-02T00:00:00Z")
    money.grant(payer, "5")
    body = {"idempotency_key": "h", "event": "call", "workspace": f"w-{payer}", "properties": {"img": 4}}
    money.at(3, 1, 12)
    hold = money.api.make("/v1/authorizations", **body, expires_in=86_400)["id"]
    money.at(3, 2)
    assert money.settled(payer) == 9, "4 of the limited credit are promised"
    assert money.charge(payer, tok=1) == "1"
    assert money.settled(payer) == 8
    assert money.api.post(f"/v1/authorizations/{hold}/void", {}).json()["balance"]["settled"] == "4"
    assert money.settled(payer) == 4
