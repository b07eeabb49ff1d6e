"""The worked table of docs/algorithms/funding.md, row by row, and what it does not show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from billing.funding import Funds, Grant, Part, apply_parts, burn, give_back, is_allowed, overspent

NOW = datetime(2026, 1, 15, tzinfo=UTC)
DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/funding.md"
NAMES = {1: "O", 2: "E", 3: "P"}


def grant(pk: int, amount: str, **fields: object) -> Grant:
    defaults = {
        "is_promotional": False,
        "priority": 50,
        "effective_at": NOW - timedelta(days=1),
        "expires_at": None,
        "components": frozenset(),
    }
    return Grant(id=pk, remaining=Decimal(amount), **{**defaults, **fields})  # type: ignore[arg-type]


def the_grants() -> list[Grant]:
    grants = [
        grant(1, "20"),
        grant(2, "10", expires_at=NOW + timedelta(days=9)),
        grant(3, "5", is_promotional=True, priority=10),
    ]
    return sorted(grants, key=Grant.burn_order)


def number(cell: str) -> Decimal | None:
    return None if cell == "-" else Decimal(cell)


def table() -> list[list[str]]:
    rows = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_table_is_there() -> None:
    assert len(table()) == 14


@pytest.mark.parametrize(("settlement", "overdraft", "limit", "lines", "paid"), table())
def test_the_worked_table(settlement: str, overdraft: str, limit: str, lines: str, paid: str) -> None:
    funds = Funds(settlement, number(overdraft), number(limit), wallet=Decimal(35), grants=the_grants())
    amounts = [(line.split()[0], Decimal(line.split()[1])) for line in lines.split("; ")]
    parts = burn(funds, amounts, NOW)
    if paid == "refused":
        assert not is_allowed(funds, parts)
        return
    assert is_allowed(funds, parts)
    said = [f"{NAMES.get(part.grant_id or 0, part.account)} {part.amount}" for part in parts]
    assert ", ".join(said) == paid


def test_a_grant_does_not_pay_for_usage_from_before_it_was_effective() -> None:
    funds = Funds("wallet_only", Decimal(0), None, wallet=Decimal(35), grants=the_grants())
    parts = burn(funds, [("tok", Decimal(1))], NOW - timedelta(days=2))
    assert parts == [Part("tok", "wallet", Decimal(1))]
    assert not is_allowed(funds, parts)


def test_a_grant_for_other_components_does_not_make_a_call_affordable() -> None:
    scoped = grant(1, "20", components=frozenset({"img"}))
    funds = Funds("wallet_only", Decimal(0), None, wallet=Decimal(20), grants=[scoped])
    assert not is_allowed(funds, burn(funds, [("tok", Decimal(1))], NOW))
    assert is_allowed(funds, burn(funds, [("img", Decimal(20))], NOW))


def test_what_is_held_is_not_spent_twice() -> None:
    funds = Funds("wallet_only", Decimal(0), None, Decimal(35), Decimal(30), grants=the_grants())
    assert is_allowed(funds, burn(funds, [("tok", Decimal(5))], NOW))
    assert not is_allowed(funds, burn(funds, [("tok", Decimal("5.01"))], NOW))


def test_applied_parts_keep_the_wallet_equal_to_its_grants_less_what_is_overdrawn() -> None:
    funds = Funds("wallet_only", None, None, wallet=Decimal(35), grants=the_grants())
    apply_parts(funds, burn(funds, [("tok", Decimal(40))], NOW))
    assert (funds.wallet, funds.overdrawn, overspent(funds)) == (-5, 5, 5)
    assert [one.remaining for one in funds.grants] == [0, 0, 0]


def test_value_goes_back_to_the_latest_payer_first() -> None:
    paid = [Part("tok", "wallet", Decimal(5), 3), Part("tok", "receivable", Decimal(2))]
    assert give_back("tok", Decimal(3), paid) == [
        Part("tok", "receivable", Decimal(-2)),
        Part("tok", "wallet", Decimal(-1), 3),
    ]


def test_what_nobody_is_known_to_have_paid_goes_to_the_wallet() -> None:
    assert give_back("tok", Decimal(3), []) == [Part("tok", "wallet", Decimal(-3))]


def test_what_is_good_for_one_thing_only_expires_beside_a_hold_for_another() -> None:
    images = grant(1, "0.58", components=frozenset({"images"}))
    funds = Funds("wallet_then_invoice", None, None, Decimal("0.58"), Decimal("3.28"), grants=[images])
    assert funds.free_of(images) == Decimal("0.58")
    funds.count_on(images.id, Decimal("0.08"))
    assert funds.free_of(images) == Decimal("0.50")
