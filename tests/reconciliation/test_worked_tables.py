"""The worked tables of docs/algorithms/reconciliation.md."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from unittest import mock

import pytest

from billing.reconciliation.batches import WHOLE_MAX, begins_after
from billing.reconciliation.comparing import compare
from billing.reconciliation.link import Finding, Scope, Span, SumKey
from billing.reconciliation.moves import is_settled
from billing.reconciliation.pacing import rest_after
from tests.billing.authorizing import table

DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/reconciliation.md"
PLACE: SumKey = (1, 2, "sum")
SPAN = Span(1, 2, 5, 9, "USD", "UTC")


def rows(text: str) -> list[tuple[int, int, str, Decimal, int]]:
    return [] if text == "-" else [(*PLACE, Decimal(text), 1)]


def difference(place: SumKey, expected: Decimal, actual: Decimal) -> Finding:
    return Finding("t", place[2], "USD", expected, actual, place[0], place[1])


@pytest.mark.parametrize("row", table("proven | moved | kept | amount", DOCUMENT), ids=str)
def test_what_is_kept_is_what_was_proven_and_what_moved(row: dict[str, str]) -> None:
    proven = {} if row["proven"] == "-" else {PLACE: Decimal(row["proven"])}
    scope = Scope(mock.Mock(), [SPAN], datetime(2026, 1, 1, tzinfo=UTC), {"link": proven})
    kept = [one[:4] for one in rows(row["kept"])]
    checked = compare(scope, "link", rows(row["moved"]), kept, difference)
    found = [finding.difference for finding in checked.findings]
    assert found == ([] if row["amount"] == "-" else [Decimal(row["amount"])])
    total = sum((Decimal(row[name]) for name in ("proven", "moved") if row[name] != "-"), Decimal(0))
    assert checked.sums == ({PLACE: total} if total else {})
    assert checked.rows == len(rows(row["moved"]))


@pytest.mark.parametrize(
    "row", table("proven | last number | something disagrees | looked at after", DOCUMENT), ids=str
)
def test_an_incremental_run_begins_after_the_checkpoint_or_at_the_beginning(row: dict[str, str]) -> None:
    assert WHOLE_MAX == 1000
    after = begins_after(
        int(row["proven"]), int(row["last number"]), is_doubtful=row["something disagrees"] == "yes"
    )
    assert after == int(row["looked at after"])


@pytest.mark.parametrize("row", table("worked s | commits | elapsed s | rests s", DOCUMENT), ids=str)
def test_a_run_rests_while_others_are_at_work(row: dict[str, str]) -> None:
    worked, commits, elapsed = float(row["worked s"]), int(row["commits"]), float(row["elapsed s"])
    assert rest_after(worked, commits, elapsed) == float(row["rests s"])


NUMBERS = {"G": 1, "A": 2, "B": 3, "C": 4, "-": None}


@pytest.mark.parametrize("row", table("on | workspace | A | B | C | compared", DOCUMENT), ids=str)
def test_an_organizations_limit_is_compared_unless_something_crossed_its_edge(row: dict[str, str]) -> None:
    above = {name: {NUMBERS[one] for one in row[name].split(", ")} for name in ("workspace", "A", "B", "C")}
    places = {("organization", NUMBERS[name] or 0): above[name] for name in "ABC"}
    places |= {("organization", 1): {None}, ("workspace", 9): above["workspace"]}
    assert is_settled(NUMBERS[row["on"]] or 0, places) == (row["compared"] == "yes")


def test_a_scope_knows_which_customers_it_sees_as_a_whole() -> None:
    spans = [SPAN, SPAN._replace(payer_id=3, after=0), SPAN._replace(customer_id=4, payer_id=5, after=0)]
    scope = Scope(mock.Mock(), spans, datetime(2026, 1, 1, tzinfo=UTC))
    assert (scope.customer_ids, scope.whole) == ([1, 4], {4})
    assert scope.params["after"] == "{5,0,0}"


def test_a_finding_says_by_how_much_its_sides_differ() -> None:
    sides = (Decimal("1.5"), Decimal(4))
    assert Finding("t", "s", "USD", *sides).difference == Decimal("2.5")
    assert Finding("t", "s", "USD", expected=Decimal(3)).difference == Decimal(-3)
    assert Finding("t", "s", "USD", *sides, amount=Decimal(7)).difference == Decimal(7)
