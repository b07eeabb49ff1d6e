"""`charge_full`: charges that have to look at everything, against plain ones of the same installation.

Both kinds of events bring what they cost: a plain call books its cost too.
"""

from __future__ import annotations

import json
import random
from itertools import islice
from typing import Final

from benchmarks.calls import CONNECTIONS, MEETINGS, Callers, event, fill
from benchmarks.charge import PAYERS, send_charges
from benchmarks.installation import Installation
from benchmarks.load import send_load
from benchmarks.measurement import Measurement
from benchmarks.rounds import measure_rounds

EVENT: Final = "completion_full"
COSTS: Final = '"costs":[{"vendor":"openai","amount":"0.0000001","currency":"USD"}],'


def measure_charge_full(installation: Installation) -> Measurement:
    """Charges per second of 1,000 payers with limits at three levels, a quota, a margin floor, two meters and
    three grants, against those of 1,000 payers with one meter and one grant."""
    plain = fill(installation, PAYERS)
    workspaces = json.loads(installation.run_module("benchmarks.full_world", str(PAYERS)))
    callers = Callers(plain.secret, random.sample(workspaces, PAYERS))
    warm = islice(callers.charges(0, event_of=full_event), MEETINGS * PAYERS)
    send_load(installation.port, warm, connections=CONNECTIONS).require(201)
    return measure_rounds(
        "charges/s",
        lambda seconds: send_charges(installation, callers, seconds, full_event),
        "charge",
        lambda seconds: send_charges(installation, plain, seconds, costed_event).per_second,
    )


def full_event(workspace: str) -> bytes:
    """An event with a cost, as JSON, under a key that was never used; two meters hear it."""
    return event(workspace, name=EVENT, costs=COSTS)


def costed_event(workspace: str) -> bytes:
    """A plain event with a cost."""
    return event(workspace, costs=COSTS)
