"""What a benchmark found: a figure, what it is compared with, and how long single calls took."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Final

HEADINGS: Final = ("benchmark", "value", "unit", "against", "", "ratio", "p50 ms", "p95 ms", "p99 ms")


@dataclass(frozen=True)
class Measurement:
    """`value` in `unit`; `against` names the other side; None where a field does not apply."""

    value: float
    unit: str
    against: str | None = None
    against_value: float | None = None
    ratio: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None


def compare(
    unit: str, ours: list[float], against: str, theirs: list[float], seconds: list[float]
) -> Measurement:
    """The medians of both sides' rounds; `seconds` are how long our single calls took."""
    value, against_value = median(ours), median(theirs)
    cuts = quantiles(seconds, n=100)
    p50, p95, p99 = (round(cuts[percent - 1] * 1000, 2) for percent in (50, 95, 99))
    return Measurement(
        round(value, 1),
        unit,
        against,
        round(against_value, 1),
        round(value / against_value, 3),
        p50,
        p95,
        p99,
    )


def table(found: dict[str, Measurement]) -> str:
    """The measurements for a terminal."""
    rows = [HEADINGS, *(_row(name, measurement) for name, measurement in found.items())]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(
        "  ".join(_aligned(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def write_json(path: Path, found: dict[str, Measurement]) -> None:
    """The measurements for programs, by name."""
    text = json.dumps({name: asdict(measurement) for name, measurement in found.items()}, indent=2)
    path.write_text(text + "\n")


def _row(name: str, found: Measurement) -> tuple[str, ...]:
    return (
        name,
        f"{found.value:,.0f}",
        found.unit,
        found.against or "",
        _shown(found.against_value, 0),
        *(_shown(value, 2) for value in (found.ratio, found.p50_ms, found.p95_ms, found.p99_ms)),
    )


def _shown(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:,.{decimals}f}"


def _aligned(cell: str, width: int) -> str:
    return cell.rjust(width) if cell[:1].isdigit() else cell.ljust(width)
