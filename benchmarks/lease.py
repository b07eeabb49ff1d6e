"""`lease`: calls decided by a client against an allowance of its own, against asking for each (`charge`)."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import Final

from benchmarks.calls import Callers, fill
from benchmarks.charge import PAYERS, send_charges
from benchmarks.installation import HOST, Installation
from benchmarks.load import Load
from benchmarks.measurement import Measurement
from benchmarks.rounds import measure_rounds
from config.environment import BASE_DIR

sys.path.append(str(BASE_DIR / "clients" / "python"))  # it is used from its folder, not installed
from tollgate_client import Client

DECISIONS_PER_SECOND_OF_A_ROUND: Final = 4_000
"""Each is reported and charged after it, which takes longer than deciding; so a round has only so many."""
ALLOWANCE: Final = Decimal(2_000)
PRICE: Final = Decimal("0.005")
TOKENS: Final = 500


def measure_lease(installation: Installation) -> Measurement:
    """Decisions per second of one thread, while a second one reports what was decided to Tollgate."""
    callers = fill(installation, PAYERS)
    return measure_rounds(
        "decisions/s",
        lambda seconds: _decide(installation, callers, seconds),
        "charge",
        lambda seconds: send_charges(installation, callers, seconds).per_second,
    )


def _decide(installation: Installation, callers: Callers, seconds: float) -> Load:
    """Decide; RuntimeError unless Tollgate has charged every call by the end."""
    load, decisions = Load(), int(DECISIONS_PER_SECOND_OF_A_ROUND * seconds)
    address, workspace = f"http://{HOST}:{installation.port}", callers.workspaces[0]
    with Client(address, callers.secret, timeout=60) as client:
        lease = client.lease(
            ALLOWANCE, price=PRICE, unreported=decisions, report_seconds=0.1, workspace=workspace
        )
        for _ in range(decisions):
            before = time.perf_counter()
            lease.spend("completion", properties={"tokens": TOKENS, "model": "gpt-4o", "region": "eu"})
            load.calls.append(time.perf_counter() - before)
        load.seconds = sum(load.calls)
        lease.close()
        if lease.allowance.unreported or client.backlog.state.waiting:
            raise RuntimeError(f"not reported: {lease.allowance.unreported}, {client.backlog.state.waiting}")
    return load
