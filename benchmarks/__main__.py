"""`python -m benchmarks [NAME...]`: all benchmarks, or those named; a table, and var/bench.json."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from benchmarks.charge import measure_charge
from benchmarks.charge_full import measure_charge_full
from benchmarks.close_periods import measure_close_periods
from benchmarks.gateway import measure_gateway
from benchmarks.hold_capture import measure_hold_capture
from benchmarks.hot_wallet import measure_hot_wallet
from benchmarks.ingest import measure_ingest
from benchmarks.installation import Installation
from benchmarks.lease import measure_lease
from benchmarks.measurement import Measurement, table, write_json
from benchmarks.reconcile import measure_reconcile
from benchmarks.simulation import measure_simulation
from config.environment import VAR_DIR

BENCHMARKS: Final[dict[str, Callable[[Installation], Measurement]]] = {
    "ingest": measure_ingest,
    "charge": measure_charge,
    "charge_full": measure_charge_full,
    "hold_capture": measure_hold_capture,
    "hot_wallet": measure_hot_wallet,
    "gateway": measure_gateway,
    "lease": measure_lease,
    "simulation": measure_simulation,
    "reconcile": measure_reconcile,
    "close_periods": measure_close_periods,
}


def main(names: list[str]) -> int:
    """Run the benchmarks of these names, all when there are none; 2 when a name is unknown."""
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        known = " ".join(BENCHMARKS)
        print(f"There is no benchmark {unknown[0]!r}; there are: {known}.", file=sys.stderr)
        return 2
    found: dict[str, Measurement] = {}
    for name in names or BENCHMARKS:
        print(f"{name}: starting servers of its own", flush=True)
        # On the disk of the product's own data: what a commit costs is what a disk costs.
        VAR_DIR.mkdir(parents=True, exist_ok=True)
        with (
            tempfile.TemporaryDirectory(prefix="bench-", dir=VAR_DIR) as folder,
            Installation(Path(folder)) as installation,
        ):
            found[name] = BENCHMARKS[name](installation)
    print("\n" + table(found))
    write_json(VAR_DIR / "bench.json", found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
