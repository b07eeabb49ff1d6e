"""The worked tables of docs/algorithms/aggregation.md, read as test cases."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from core.jsonio import parse_json

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "algorithms" / "aggregation.md"
PERIOD = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
_FENCE = re.compile(r"```json\n(.*?)\n```", re.DOTALL)
_COUNTERS = {"ignored": 0, "duplicates": 0, "conflicts": 0}

Row = dict[str, str]


def table(heading: str) -> list[Row]:
    """The rows of the table under `## heading`."""
    text = DOCUMENT.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = _rows(text)
    assert rows, f"no table under {heading!r}"
    return rows


def code(cell: str) -> Any:
    """The JSON that a cell holds between backticks."""
    return parse_json(cell.strip("`").encode())


def worked_documents() -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """(name, document, answer) for every row below a fenced meter."""
    text = DOCUMENT.read_text()
    fences = list(_FENCE.finditer(text))
    cases = []
    for fence, following in zip(fences, [*fences[1:], None], strict=True):
        meter = parse_json(fence.group(1).encode()) | {"event": "call"}
        rows = _rows(text[fence.end() : following.start() if following else len(text)].split("\n## ")[0])
        assert rows, f"no table below {fence.group(1)}"
        for row in rows:
            document = {"meter": meter, "period": PERIOD, "events": _events(code(row["events"]))}
            if row.get("initial"):
                document["initial"] = code(row["initial"])
            name = f"{fence.group(1)} | {row.get('initial', '')} | {row['events']}"
            cases.append((name, document, _COUNTERS | code(row["answer"])))
    return cases


def _events(written: list[Any]) -> list[dict[str, Any]]:
    events = []
    for index, (when, what) in enumerate(written):
        day, _, time = when.partition("T")
        date = "2026-02-01" if day == "32" else f"2026-01-{day}"
        properties = what if isinstance(what, dict) else {"v": what}
        events.append(
            {
                "idempotency_key": f"key-{index}",
                "event": "call",
                "occurred_at": f"{date}T{time or '00:00:00Z'}",
                "properties": properties,
            }
        )
    return events


def _rows(text: str) -> list[Row]:
    rows: list[Row] = []
    header: list[str] = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line[1:-1].split(" |")] if line.startswith("|") else []
        if not cells:
            header = []
        elif not header:
            header = [cell.strip("| ") for cell in cells]
        elif not set("".join(cells)) <= set("-| "):
            rows.append(dict(zip(header, (cell.lstrip("| ") for cell in cells), strict=True)))
    return rows
