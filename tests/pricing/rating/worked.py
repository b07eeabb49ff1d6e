"""The worked tables of docs/algorithms/rating.md, read as test cases."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "algorithms" / "rating.md"
_FENCE = re.compile(r"```json\n(.*?)\n```", re.DOTALL)
_SECTION = re.compile(r"^## (.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Case:
    """One row: what a component makes of usage (after previous usage, if any)."""

    name: str
    component: dict[str, Any]
    usage: Any
    previous: Any
    amount: str

    def item(self) -> dict[str, Any]:
        """The row as a document for the preview."""
        document = {
            "currency": "USD",
            "components": [{"key": "c"} | self.component],
            "usage": {"c": self.usage},
        }
        return document if self.previous is None else document | {"previous": {"c": self.previous}}


def worked_cases() -> list[Case]:
    """Every row of every table that follows a fenced component, in the document's order."""
    text = DOCUMENT.read_text()
    fences = list(_FENCE.finditer(text))
    cases: list[Case] = []
    for fence, following in zip(fences, [*fences[1:], None], strict=True):
        heading = [match.group(1) for match in _SECTION.finditer(text, 0, fence.start())][-1]
        tables = text[fence.end() : following.start() if following else len(text)]
        # A table ends at the next heading: what follows it belongs to no component.
        rows = _rows(_SECTION.split(tables)[0])
        assert rows, f"the component under {heading!r} has no table"
        cases += [_case(heading, json.loads(fence.group(1)), row) for row in rows]
    return cases


def _case(heading: str, component: dict[str, Any], row: dict[str, str]) -> Case:
    usage = json.loads(row["usage"].strip("`"))
    previous = json.loads(row["previous"].strip("`")) if "previous" in row else None
    name = f"{heading} | {row.get('previous', '')} | {row['usage']}"
    return Case(name, component, usage, previous, row["amount"])


def _rows(text: str) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            header = []
        elif not header:
            header = cells
        elif "usage" in header and not set(cells[0]) <= {"-"}:
            rows.append(dict(zip(header, cells, strict=True)))
    return rows
