"""`close_periods`: the periods of 2,000 payers, closed by one worker, against TPC-B of one client.

A close works out a minimum, a commitment and a meter that settles only then (the mean of 30 events), and pays
what is missing: lines, transfers, balances. What pgbench does in one transaction is about what is written for
one payer.
"""

from __future__ import annotations

import json
from statistics import median
from typing import Final

from benchmarks.installation import Installation
from benchmarks.measurement import Measurement
from benchmarks.pgbench import TpcB

PAYERS: Final = 2000
MONTHS: Final = 3
PGBENCH_SECONDS: Final = 5.0


def measure_close_periods(installation: Installation) -> Measurement:
    """Periods a second, as the due task closes them; a month a round, pgbench after each."""
    module = "benchmarks.close_periods_world"
    installation.run_module(module, "fill", str(PAYERS))
    pgbench = TpcB(installation, clients=1)
    ours, theirs = [], []
    for month in range(MONTHS):
        found = json.loads(installation.run_module(module, "close", str(month)).splitlines()[-1])
        ours.append(PAYERS / found["seconds"])
        theirs.append(pgbench.per_second(PGBENCH_SECONDS))
        print(
            f"  round {month + 1} of {MONTHS}: {ours[-1]:,.0f} periods/s; processor time for all of them"
            f" {found['processor']:.2f} s and the database's {found['database']:.2f} s; pgbench:"
            f" {theirs[-1]:,.0f}",
            flush=True,
        )
    value, against = median(ours), median(theirs)
    return Measurement(
        value=round(value, 1),
        unit="periods/s",
        against="pgbench TPC-B, one client",
        against_value=round(against, 1),
        ratio=round(value / against, 3),
    )
