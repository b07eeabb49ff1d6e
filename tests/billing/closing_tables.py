"""The worked tables of docs/algorithms/closing.md, read as test cases."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/closing.md"
_FENCE = re.compile(r"```json\n(.*?)\n```\n((?:\|[^\n]*\n)+)", re.DOTALL)


@dataclass(frozen=True)
class Case:
    """One row: what came in time and what the close booked; what came late, and its (usage, commitment)."""

    name: str
    aggregation: str
    component: dict[str, Any]
    terms: dict[str, Any]
    start: int
    used: list[Decimal]
    booked: dict[str, Decimal]
    late: list[Decimal]
    costs: list[Decimal]


def worked_closes() -> list[Case]:
    """Every row of every table, in the document's order."""
    found = []
    for number, (fence, table) in enumerate(_FENCE.findall(DOCUMENT.read_text())):
        head, _, *rows = [_cells(row) for row in table.strip().splitlines()]
        assert head == ["start", "used", "at the close", "late", "costs"]
        for at, row in enumerate(rows):
            found.append(_case(f"{number}.{at} {' '.join(row)}", json.loads(fence), row))
    return found


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip().strip("|").split("|")]


def _case(name: str, fence: dict[str, Any], row: list[str]) -> Case:
    start, used, booked, late, costs = row
    return Case(
        name,
        fence.get("aggregation", "sum"),
        fence["component"],
        fence.get("terms", {}),
        int(start),
        _numbers(used),
        {kind: Decimal(amount) for kind, amount in (part.split() for part in booked.split(";") if part)},
        _numbers(late),
        [_difference(cost) for cost in costs.split(",") if cost],
    )


def _numbers(cell: str) -> list[Decimal]:
    return [Decimal(number.strip()) for number in cell.split(",") if number.strip()]


def _difference(text: str) -> Decimal:
    """`12 - 12` is 0: what the event cost less what the commitment gave back."""
    first, _, back = text.strip().partition(" - ")
    return Decimal(first) - Decimal(back or 0)
