"""`charge`: single charges over HTTP, against pgbench's TPC-B on the same server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.calls import CONNECTIONS, Callers, event, fill
from benchmarks.installation import Installation
from benchmarks.load import Load, send_load
from benchmarks.measurement import Measurement
from benchmarks.pgbench import TpcB
from benchmarks.rounds import measure_rounds

PAYERS: Final = 1000
PER_SECOND_MAX: Final = 8000
"""How many requests a second are made beforehand."""


def measure_charge(installation: Installation) -> Measurement:
    """Charges per second of 1,000 payers with prepaid wallets at a graduated price, 32 connections."""
    callers = fill(installation, PAYERS)
    tpc_b = TpcB(installation)
    return measure_rounds(
        "charges/s",
        lambda seconds: send_charges(installation, callers, seconds),
        "pgbench TPC-B",
        tpc_b.per_second,
    )


def send_charges(
    installation: Installation,
    callers: Callers,
    seconds: float,
    event_of: Callable[[str], bytes] = event,
) -> Load:
    """Charge for so many seconds; RuntimeError unless every answer is a new charge (201)."""
    requests = callers.charges(int(PER_SECOND_MAX * seconds), event_of=event_of)
    return send_load(installation.port, requests, connections=CONNECTIONS, seconds=seconds).require(201)
