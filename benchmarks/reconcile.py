"""`reconcile`: a full run over a million events, and what a charge takes beside it.

`RECONCILE_EVENTS` makes it smaller. The events come in by `POST /v1/events`, in batches, for a thousand
payers, and are sealed as all are within minutes: what a night's run finds. Charges are sent by one caller at
a steady pace: alone, then while the run goes on, whose rests for the calls' sake count, and alone again; the
ratio is that of their medians.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import cycle, islice
from statistics import quantiles
from typing import Final

from benchmarks.calls import Callers, batch, event, fill
from benchmarks.installation import Installation
from benchmarks.load import Load, post, send_load
from benchmarks.measurement import Measurement
from config.supervisor.programs import MANAGE

EVENTS: Final = int(os.environ.get("RECONCILE_EVENTS", "1000000"))
PAYERS: Final = 1000
BATCH: Final = 1000
CALLS_A_SECOND: Final = 50
ALONE_SECONDS: Final = 10.0
MODULE: Final = "benchmarks.reconcile_run"


def measure_reconcile(installation: Installation) -> Measurement:
    """Events a second of a full run while charges go on; `ratio`: their median over that without the run."""
    callers = fill(installation, PAYERS)
    begun = time.perf_counter()
    _fill_events(installation, callers)
    filled = time.perf_counter()
    installation.run([*MANAGE, "run_due", "--only", "billing.tasks.seal_books"])
    sealed = time.perf_counter()
    print(f"  events made in {filled - begun:.0f} s and sealed in {sealed - filled:.0f} s", flush=True)
    alone = _charge(installation, callers, None)
    run = subprocess.Popen(
        [sys.executable, "-m", MODULE],
        env=installation.environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    beside = _charge(installation, callers, run)
    alone.calls += _charge(installation, callers, None).calls
    printed, _ = run.communicate()
    if run.returncode:
        raise RuntimeError(f"the run ended with {run.returncode}: {printed}")
    found = json.loads(printed.splitlines()[-1])
    ours, without = _percentiles(beside), _percentiles(alone)
    print(
        f"  {found['events']:,} events and {found['rows']:,} rows in {found['seconds']:.1f} s; memory at a"
        f" tenth {found['first_rss']:.0f} MB, at most {found['peak_rss']:.0f} MB; a charge (p50, p95, p99 in"
        f" ms) alone {without}, beside it {ours}",
        flush=True,
    )
    return Measurement(
        value=round(found["events"] / found["seconds"], 1),
        unit="events/s",
        against="charge alone (p50, ms)",
        against_value=without[0],
        ratio=round(ours[0] / without[0], 3),
        p50_ms=ours[0],
        p95_ms=ours[1],
        p99_ms=ours[2],
    )


def _fill_events(installation: Installation, callers: Callers) -> None:
    places = cycle(callers.workspaces)
    chunks = ([event(place) for place in islice(places, BATCH)] for _ in range(EVENTS // BATCH))
    requests = (post("/v1/events", callers.secret, batch(chunk)) for chunk in chunks)
    send_load(installation.port, requests, connections=4).require(200)


def _charge(installation: Installation, callers: Callers, run: subprocess.Popen[str] | None) -> Load:
    """Charges at a steady pace: while a run goes on, or for ALONE_SECONDS."""

    def paced() -> Iterator[bytes]:
        begun = time.perf_counter()
        for number, request in enumerate(callers.charges(0)):
            due = number / CALLS_A_SECOND
            is_over = due > ALONE_SECONDS if run is None else run.poll() is not None
            if is_over:
                return
            time.sleep(max(0.0, begun + due - time.perf_counter()))
            yield request

    return send_load(installation.port, paced(), connections=1).require(201)


def _percentiles(load: Load) -> tuple[float, float, float]:
    cuts = quantiles(load.calls, n=100)
    p50, p95, p99 = (round(cuts[percent - 1] * 1000, 2) for percent in (50, 95, 99))
    return p50, p95, p99
