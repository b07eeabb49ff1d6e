"""When the phases of a ramp begin for a subscription: tables of docs/algorithms/ramps.md."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from config.environment import BASE_DIR
from pricing.catalog import PlanTerms, read_plan
from pricing.ramps import phase_starts

DOC = (BASE_DIR / "docs" / "algorithms" / "ramps.md").read_text()


def table(number: int) -> list[list[str]]:
    """The rows of the document's table `number`, without its head."""
    tables = re.findall(r"(?:^\|.*\n)+", DOC, re.MULTILINE)
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in tables[number].splitlines()]
    return rows[2:]


def at(text: str) -> datetime:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


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


def test_a_plan_without_a_ramp_has_no_phases() -> None:
    assert phase_starts(plan(), at("2026-01-01"), ZoneInfo("UTC")) == []
