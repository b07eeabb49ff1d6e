"""When the phases of a ramp begin for a subscription: tables of docs/algorithms/ramps.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config.environment import BASE_DIR
from pricing.catalog import PlanTerms, read_plan
from pricing.ramps import phase_starts, ramp_phase_at, terms_at

DOC = (BASE_DIR / "docs" / "algorithms" / "ramps.md").read_text()


def table(number: int) -> list[list[str]]:
    """The rows of the document's table `number`, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", DOC, re.MULTILINE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in tables[number].splitlines()]
    return rows[2:]


def at(text: str) -> datetime:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def phases(*begins: str | int) -> list[dict[str, Any]]:
    """Phases that begin after so many months, or on these dates, at rising minimums."""
    found = []
    for number, when in enumerate(begins, start=1):
        name = "after_months" if isinstance(when, int) else "starts_on"
        found.append({name: when, "overrides": {"minimum_spend": str(number)}})
    return found


def plan(*begins: str | int, **fields: Any) -> PlanTerms:
    """A plan with phases that begin after so many months, or on these dates, at rising minimums."""
    ramps = [
        {
            "after_months" if isinstance(when, int) else "starts_on": when,
            "overrides": {"minimum_spend": str(n)},
        }
        for n, when in enumerate(begins, start=1)
    ]
    return read_plan({"plan": "p", "currency": "USD", "ramps": ramps} | fields)


@pytest.mark.parametrize(("zone", "start", "phases", "begin"), table(0), ids=str)
def test_the_table_of_starts(zone: str, start: str, phases: str, begin: str) -> None:
    whens = [int(when) if when.isdigit() else when for when in phases.split(", ")]
    found = phase_starts(plan(*whens), at(start), ZoneInfo(zone))
    assert found == [at(text) for text in begin.split(", ")]


@pytest.mark.parametrize(
    ("instant", "number"),
    [
        ("2026-01-31T00:00:00", 0),
        ("2026-02-27T23:59:59.999999", 0),
        ("2026-02-28", 1),
        ("2026-03-30T23:00:00", 1),
        ("2026-03-31", 2),
        ("2036-01-01", 2),
    ],
)
def test_the_phase_that_holds_is_the_last_one_that_has_begun(instant: str, number: int) -> None:
    terms, start, zone = plan(1, 2), at("2026-01-31"), ZoneInfo("UTC")
    assert ramp_phase_at(terms, start, at(instant), zone) == number
    held = terms_at(terms, start, at(instant), zone)
    assert held.minimum_spend == Decimal(number)
    assert held.ramps == (() if number else terms.ramps)


def test_a_plan_without_a_ramp_is_always_itself() -> None:
    terms = plan()
    assert phase_starts(terms, at("2026-01-01"), ZoneInfo("UTC")) == []
    assert terms_at(terms, at("2026-01-01"), at("2030-01-01"), ZoneInfo("UTC")) is terms
