"""`hot_wallet`: all charges on one payer, whose row every one of them locks, against `charge`."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.calls import fill
from benchmarks.charge import PAYERS, send_charges
from benchmarks.installation import Installation
from benchmarks.measurement import Measurement
from benchmarks.rounds import measure_rounds


def measure_hot_wallet(installation: Installation) -> Measurement:
    """Charges per second of one payer, against charges per second spread over 1,000."""
    callers = fill(installation, PAYERS)
    hot = replace(callers, workspaces=callers.workspaces[:1])
    return measure_rounds(
        "charges/s",
        lambda seconds: send_charges(installation, hot, seconds),
        "charge",
        lambda seconds: send_charges(installation, callers, seconds).per_second,
    )
