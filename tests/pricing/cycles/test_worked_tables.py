"""The tables in docs/algorithms/cycles.md are true."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from core.instants import instant_text, parse_instant
from core.numbers import plain
from pricing.cycles import Anchor, Cycle, Interval, Period, Proration, local_midnight, prorate

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "algorithms" / "cycles.md"
Row = dict[str, str]


def table(heading: str) -> list[Row]:
    text = DOCUMENT.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def named(row: Row) -> str:
    return " ".join(row.values())


@pytest.mark.parametrize("row", table("Midnight"), ids=named)
def test_a_local_day_begins(row: Row) -> None:
    begins = local_midnight(date.fromisoformat(row["day"]), ZoneInfo(row["zone"]))
    assert instant_text(begins) == row["begins at"]


@pytest.mark.parametrize("row", table("Periods"), ids=named)
def test_an_instant_lies_in_its_period(row: Row) -> None:
    cycle = Cycle.anchored(
        Interval(row["interval"]), Anchor(row["anchor"]), parse_instant(row["started"]), ZoneInfo(row["zone"])
    )
    period = cycle.period_at(parse_instant(row["instant"]))
    assert [instant_text(instant) for instant in period] == [row["start"], row["end"]]


@pytest.mark.parametrize("row", table("Parts of an amount"), ids=named)
def test_a_part_has_its_amount(row: Row) -> None:
    part = prorate(
        Decimal(row["amount"]),
        Period(parse_instant(row["period start"]), parse_instant(row["period end"])),
        Period(parse_instant(row["used start"]), parse_instant(row["used end"])),
        Proration(row["mode"]),
        zone=ZoneInfo(row["zone"]),
        counts_last_day=row["last day"] == "counts",
    )
    assert plain(part) == row["part"]
