"""`ingest`: batches of events over HTTP, against the floor: storing the same rows and no more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import chain, islice
from typing import Final

from benchmarks.calls import Callers, batch, event, fill
from benchmarks.floor import Floor
from benchmarks.installation import Installation
from benchmarks.load import Load, post, send_load
from benchmarks.measurement import Measurement
from benchmarks.rounds import measure_rounds

PAYERS: Final = 1000
EVENTS: Final = 1000
CONNECTIONS: Final = 16
"""Many senders at once are the normal case. Of few, the web's processes get unequal shares: of four perhaps
three and one, or all and none."""
WRITERS: Final = 1
ROUND_SECONDS: Final = 5.0
"""Longer than of other benchmarks: an answer takes up to a second, and a round ends with the last one."""
BATCHES_PER_SECOND_MAX: Final = 30


def measure_ingest(installation: Installation) -> Measurement:
    """Events per second in batches of 1,000 over 1,000 payers at a graduated price, against the floor."""
    callers = fill(installation, PAYERS)
    floor = Floor(installation, payers=PAYERS, rows=EVENTS, writers=WRITERS)
    return measure_rounds(
        "events/s",
        lambda seconds: _send_batches(installation, callers, seconds),
        "COPY floor",
        floor.per_second,
        units_per_call=EVENTS,
        round_seconds=ROUND_SECONDS,
    )


def _send_batches(installation: Installation, callers: Callers, seconds: float) -> Load:
    requests = _batches(callers)
    made = list(islice(requests, int(BATCHES_PER_SECOND_MAX * seconds)))
    load = send_load(
        installation.port, chain(made, requests), connections=CONNECTIONS, seconds=seconds
    ).require(200)
    if load.taken != EVENTS * len(load.calls):
        raise RuntimeError(f"only {load.taken} events of {EVENTS * len(load.calls)} were accepted")
    return load


def _batches(callers: Callers) -> Iterator[bytes]:
    """Requests of EVENTS events, each of a payer drawn at random."""
    while True:
        events = [event(workspace) for workspace in random.choices(callers.workspaces, k=EVENTS)]
        yield post("/v1/events", callers.secret, batch(events))
