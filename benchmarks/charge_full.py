"""`charge_full`: charges that have to look at everything, against plain ones of the same installation."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import chain, cycle, islice
from typing import Final
from uuid import uuid4

from benchmarks.calls import CONNECTIONS, MEETINGS, Callers, fill
from benchmarks.charge import PAYERS, PER_SECOND_MAX, send_charges
from benchmarks.installation import Installation
from benchmarks.load import Load, post, send_load
from benchmarks.measurement import Measurement
from benchmarks.rounds import measure_rounds

EVENT: Final = "completion_full"
COST: Final = '[{"vendor":"openai","amount":"0.0000001","currency":"USD"}]'


def measure_charge_full(installation: Installation) -> Measurement:
    """Charges per second of 1,000 payers with limits at three levels, a quota, a margin floor, two meters and
    three grants, against those of 1,000 payers with one meter and one grant."""
    plain = fill(installation, PAYERS)
    workspaces = json.loads(installation.run_module("benchmarks.full_world", str(PAYERS)))
    callers = Callers(plain.secret, random.sample(workspaces, PAYERS))
    warm = islice(full_charges(callers, 0), MEETINGS * PAYERS)
    send_load(installation.port, warm, connections=CONNECTIONS).require(201)
    return measure_rounds(
        "charges/s",
        lambda seconds: send_full(installation, callers, seconds),
        "charge",
        lambda seconds: send_charges(installation, plain, seconds).per_second,
    )


def send_full(installation: Installation, callers: Callers, seconds: float) -> Load:
    """Charge for so many seconds; RuntimeError unless every answer is a new charge (201)."""
    requests = full_charges(callers, int(PER_SECOND_MAX * seconds))
    return send_load(installation.port, requests, connections=CONNECTIONS, seconds=seconds).require(201)


def full_charges(callers: Callers, made: int) -> Iterator[bytes]:
    """Requests to charge one event each, workspaces in turn; `made` of them beforehand."""
    requests = (
        post("/v1/charges", callers.secret, full_event(workspace)) for workspace in cycle(callers.workspaces)
    )
    return chain(list(islice(requests, made)), requests)


def full_event(workspace: str) -> bytes:
    """An event with a cost, as JSON, under a key that was never used."""
    tokens = random.randint(1, 500)
    return (
        f'{{"idempotency_key":"{uuid4()}","event":"{EVENT}","workspace":"{workspace}","costs":{COST},'
        f'"properties":{{"tokens":{tokens},"model":"gpt-4o","region":"eu"}}}}'
    ).encode()
