"""Rounds: both sides of a comparison in turn, so that both meet the machine in the same state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.load import Load
from benchmarks.measurement import Measurement, compare

ROUNDS: Final = 8
ROUND_SECONDS: Final = 3.0
WARM_UP_SECONDS: Final = 2.0


def measure_rounds(
    unit: str,
    ours: Callable[[float], Load],
    against: str,
    theirs: Callable[[float], float],
    *,
    units_per_call: float = 1,
    round_seconds: float = ROUND_SECONDS,
) -> Measurement:
    """Run both sides ROUNDS times in turn, for `round_seconds` each, after a warm-up of both.

    `ours` gives a load, whose every call is `units_per_call` units; `theirs` gives units per second.
    """
    ours(WARM_UP_SECONDS)
    theirs(WARM_UP_SECONDS)
    our_values: list[float] = []
    their_values: list[float] = []
    calls: list[float] = []
    for number in range(1, ROUNDS + 1):
        load = ours(round_seconds)
        our_values.append(load.per_second * units_per_call)
        their_values.append(theirs(round_seconds))
        calls += load.calls
        shown = f"{our_values[-1]:,.0f} {unit}; {against}: {their_values[-1]:,.0f}"
        print(f"  round {number} of {ROUNDS}: {shown}", flush=True)
    return compare(unit, our_values, against, their_values, calls)
