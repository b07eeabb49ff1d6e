"""The tables of a page of docs/algorithms, as rows of texts by column."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "algorithms"
Row = dict[str, str]


def documented(page: str, heading: str) -> list[Row]:
    """The rows of the table under a heading."""
    text = (FOLDER / page).read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    return [dict(zip(header, row, strict=True)) for row in rows]


def named(row: Row) -> str:
    """A name for a row's test."""
    return " ".join(row.values())
