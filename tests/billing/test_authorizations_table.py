"""The worked tables of docs/algorithms/authorizations.md, row by row, through the public API."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest

from billing.models import Overspend
from core.numbers import plain
from tests.billing.authorizing import Desk, desks, table

pytestmark = pytest.mark.django_db
CAPTURES = table("wallet | overdraft | expected | spent | real | over")
LATE = table("wallet | overdraft | expected | spent | real | capture")
HOLDS = table("settlement")


@pytest.fixture(autouse=True)
def _books() -> Iterator[None]:
    yield from desks()  # type: ignore[misc]


@pytest.mark.parametrize("row", CAPTURES, ids=lambda row: " ".join(row.values()))
def test_a_capture_costs_what_its_row_says(row: dict[str, str]) -> None:
    desk = Desk(row["wallet"], overdraft=_amount(row["overdraft"]))
    hold = desk.hold(_tokens(row["expected"]))
    if row["spent"] != "0":
        assert desk.charge(_tokens(row["spent"])).status_code == 201
    answer = desk.capture(hold, _tokens(row["real"]), over=row["over"])
    assert answer.status_code == int(row["answer"]), answer.content
    body = answer.json()
    left = "0"
    if row["charged"] == "-":
        left = plain(Decimal(row["expected"]))
        assert body["denial"]["reason"] == "insufficient_funds"
        assert desk.shown(hold)["status"] == "authorized"
    else:
        assert (body["amount"], body["absorbed"]) == (row["charged"], row["absorbed"])
        assert desk.shown(hold)["status"] == "captured"
    assert desk.balance() == (row["settled"], left, row["available"])
    assert body["balance"] == {"settled": row["settled"], "held": left, "available": row["available"]}


@pytest.mark.parametrize("row", LATE, ids=lambda row: " ".join(row.values()))
def test_after_its_time_a_capture_is_a_charge_or_else_reported(row: dict[str, str]) -> None:
    desk = Desk(row["wallet"], overdraft=_amount(row["overdraft"]))
    hold = desk.hold(_tokens(row["expected"]), expires_in=60)
    desk.later(seconds=60)
    if row["spent"] != "0":
        assert desk.charge(_tokens(row["spent"])).status_code == 201
    answer = desk.capture(hold, _tokens(row["real"]))
    assert answer.status_code == int(row["capture"]), answer.content
    if answer.status_code == 409:
        assert answer.json()["error"]["code"] == "authorization_expired"
        assert desk.report(_tokens(row["real"]), idempotency_key=hold)["accepted"] == 1
    assert desk.shown(hold)["status"] == "captured"
    assert desk.balance()[0] == row["settled"]
    overspent = [(plain(found.amount), found.cause) for found in Overspend.objects.all()]
    assert overspent == ([] if row["overspend"] == "0" else [(row["overspend"], "late_capture")])


@pytest.mark.parametrize("row", HOLDS, ids=lambda row: " ".join(row.values()))
def test_holds_are_decided_one_after_the_other(row: dict[str, str]) -> None:
    desk = Desk(
        row["wallet"] if row["wallet"] != "0" else None,
        settlement=row["settlement"],
        overdraft=_amount(row["overdraft"]),
        credit_limit=_amount(row["credit limit"]),
    )
    answers = [desk.authorize(_tokens(amount)).status_code for amount in row["holds"].split("; ")]
    assert "; ".join(map(str, answers)) == row["answers"]
    assert desk.balance()[2] == row["available"]


def _amount(cell: str) -> Decimal | None:
    return None if cell == "-" else Decimal(cell)


def _tokens(amount: str) -> str:
    """How many tokens cost so much."""
    return plain(Decimal(amount) * 100)
