"""How long rating one event takes, by model, in this process: `python benchmarks/rating_micro.py`.

Prints microseconds per call of `rate_event` (state in, state and charge out), the best of several runs.
"""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.numbers import ZERO
from pricing.rating import EMPTY, Usage, rate_event, read_component

CALLS: Final = 20_000
RUNS: Final = 5
TIERS: Final = [
    {"up_to": "1000", "unit_price": "0.01", "flat_fee": "5"},
    {"up_to": "5000", "unit_price": "0.005"},
    {"up_to": "15000", "unit_price": "0.002"},
    {"up_to": None, "unit_price": "0.001"},
]
MODIFIERS: Final = {
    "included": "100",
    "discount_percent": "12.5",
    "maximum": "1000000",
    "quantity_rounding": {"mode": "up", "to": "10"},
}
CASES: Final[dict[str, dict[str, Any]]] = {
    "per_unit": {"model": "per_unit", "unit_price": "0.000004"},
    "graduated": {"model": "graduated", "tiers": TIERS},
    "graduated, every modifier": {"model": "graduated", "tiers": TIERS} | MODIFIERS,
    "volume": {"model": "volume", "tiers": TIERS},
    "package": {"model": "package", "package_size": "100", "package_price": "2"},
    "percentage": {"model": "percentage", "rate": "0.029", "fixed_fee": "0.3", "free_amount": "100"},
    "matrix": {
        "model": "matrix",
        "dimensions": ["model"],
        "cells": [{"match": {"model": "a"}, "unit_price": "0.5"}],
        "default_unit_price": "0.1",
    },
    "cost_plus": {"model": "cost_plus", "markup": "0.25"},
}
USAGE: Final = Usage(Decimal("1.5"), {"model": "a"}, Decimal("0.0123"))


def microseconds_per_call(definition: dict[str, Any]) -> float:
    """The best run's mean time of one `rate_event`, over a state that moves on."""
    component = read_component({"key": "component"} | definition)
    best = float("inf")
    for _ in range(RUNS):
        state, subtotal = EMPTY, ZERO
        begun = time.perf_counter()
        for _ in range(CALLS):
            rated = rate_event(component, state, subtotal, USAGE)
            state, subtotal = rated.state, rated.subtotal
        best = min(best, time.perf_counter() - begun)
    return best / CALLS * 1e6


def main() -> None:
    """Print a table."""
    for name, definition in CASES.items():
        print(f"{name:28} {microseconds_per_call(definition):6.2f} us")


if __name__ == "__main__":
    main()
