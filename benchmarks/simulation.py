"""`simulation`: two versions side by side for 10,000 customers over three months, against the pure engine.

The engine alone is given the same usage, in memory, event by event: what it needs for the same ratings is the
floor.
"""

from __future__ import annotations

import json
from statistics import median
from typing import Final

from benchmarks.installation import Installation
from benchmarks.measurement import Measurement

CUSTOMERS: Final = 10_000


def measure_simulation(installation: Installation) -> Measurement:
    """Customers a second, as a job that keeps its rows. `ratio`: its time over that of the engine alone."""
    printed = installation.run_module("benchmarks.simulation_world", str(CUSTOMERS))
    found = json.loads(printed.splitlines()[-1])
    ours, engine = median(found["simulation"]), median(found["engine"])
    sides = ("simulation", "database", "engine")
    own, database, floor = (median(found[f"{side}_processor"]) for side in sides)
    print(
        f"  {found['ratings']:,} ratings: {ours:.2f} s, the engine alone {engine:.2f} s; processor time"
        f" {own:.2f} s and the database's {database:.2f} s, the engine alone {floor:.2f} s:"
        f" {(own + database) / floor:.2f}",
        flush=True,
    )
    return Measurement(
        value=round(CUSTOMERS / ours, 1),
        unit="customers/s",
        against="pure engine",
        against_value=round(CUSTOMERS / engine, 1),
        ratio=round(ours / engine, 3),
    )
