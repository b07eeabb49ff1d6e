"""A dated story over HTTP: a minimum, a settled meter and a commitment are booked at the close; then one
event comes late, and another is reversed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command

from core import clock
from tests.api_client import Api
from tests.scenarios.money import Story, per_unit

pytestmark = pytest.mark.django_db


@pytest.fixture
def story() -> Iterator[Story]:
    yield Story()
    clock.use(None)


def run_due(story: Story, month: int, day: int, hour: int = 0) -> None:
    """Run the due tasks as at that instant, and stay there."""
    call_command("run_due", now=datetime(2026, month, day, hour, tzinfo=UTC).isoformat())
    story.at(month, day, hour)
    clock.use(lambda: story.now)


@pytest.fixture
def payer(story: Story) -> str:
    """One who pays by invoice: 10 calls in March, of sizes 2 and 4."""
    calls, size = story.meter("calls", "count"), story.meter("size", "avg")
    version = story.plan(
        per_unit("call", "1", meter=calls, minimum="12"),
        per_unit("size", "5", meter=size),
        base_fees=[{"key": "platform", "amount": "31", "timing": "in_arrears", "prorate": True}],
        minimum_spend="100",
    )
    payer = story.payer(version, settlement="invoice_only")
    story.at(3, 10)
    story.report(payer, *[{"size": 2 if number % 2 else 4} for number in range(10)])
    return payer


def lines(story: Story, payer: str) -> list[dict[str, Any]]:
    answer = story.api.get("/v1/closing-lines", billing_entity=payer)
    assert answer.status_code == 200, answer.content
    rows: list[dict[str, Any]] = answer.json()["data"]
    return rows[::-1]


def shown(rows: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    return [(row["component"], row["kind"], row["cause"], row["amount"]) for row in rows]


CLOSE = [
    ("call", "minimum", "close", "2"),
    ("size", "usage", "close", "15"),
    ("minimum_spend", "commitment", "close", "42"),  # 100 - 31 - 12 - 15
]


def test_a_period_is_closed_and_explained(story: Story, payer: str) -> None:
    run_due(story, 4, 1, 12)
    assert lines(story, payer) == []
    run_due(story, 4, 2)
    run_due(story, 4, 2)
    found = lines(story, payer)
    assert shown(found) == CLOSE
    assert story.account(payer, "receivable") == -100
    assert story.api.get(f"/v1/closing-lines/{found[0]['id']}").json() == found[0]
    assert found[1]["detail"]["groups"] == [{"dimensions": [], "quantity": "3"}]
    assert found[2]["detail"] == {
        "commitment": "100",
        "base_fees": "31",
        "usage": "27",
        "starts_at": "2026-03-01T00:00:00Z",
        "ends_at": "2026-04-01T00:00:00Z",
    }
    assert found[2]["funding"] == [{"account": "receivable", "amount": "42", "grant": None}]
    assert {row["plan_version"] for row in found} == {found[0]["plan_version"]}


def test_what_comes_late_and_what_is_reversed_late_change_the_commitment(story: Story, payer: str) -> None:
    run_due(story, 4, 2)
    late = "2026-03-20T00:00:00Z"
    story.report(payer, {"size": 14}, occurred_at=late)  # 11 calls of 4 on average
    found = lines(story, payer)
    assert shown(found) == [
        *CLOSE,
        ("size", "usage", "late", "5"),
        ("minimum_spend", "commitment", "late", "-5"),
    ]
    assert found[3]["event"] == found[4]["event"] is not None
    assert story.account(payer, "receivable") == -100
    story.report(payer, *[{"size": 4}] * 60, occurred_at=late)
    assert story.account(payer, "receivable") == -(31 + 71) - _mean(44 + 240, 71)
    only_late = story.api.get("/v1/closing-lines", billing_entity=payer, cause="late", kind="usage").json()
    assert {row["event"] for row in only_late["data"]} == {found[3]["event"]}
    story.api.make("/v1/reversals", event=found[3]["event"], reason="A mistake")
    assert story.account(payer, "receivable") == -(31 + 70) - _mean(30 + 240, 70)


def _mean(total: int, number: int) -> Decimal:
    """Five times the mean size, as it is priced."""
    return 5 * (Decimal(total) / number).quantize(Decimal("1e-12"))


def test_lines_are_for_who_may_read(story: Story, payer: str) -> None:
    run_due(story, 4, 2)
    assert Api("events:write").get("/v1/closing-lines").status_code == 403
    assert len(Api("read").get("/v1/closing-lines").json()["data"]) == 3
    other = story.payer(settlement="invoice_only")
    assert lines(story, other) == []
