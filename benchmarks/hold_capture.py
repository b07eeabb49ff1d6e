"""`hold_capture`: authorize, then capture: pairs a second, against single charges on the same server."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import chain, cycle, islice
from typing import Final

from benchmarks.calls import CONNECTIONS, Callers, event, fill
from benchmarks.charge import PAYERS, send_charges
from benchmarks.installation import Installation
from benchmarks.load import Load, post, send_load
from benchmarks.measurement import Measurement
from benchmarks.rounds import measure_rounds

PER_SECOND_MAX: Final = 4000
"""How many authorizations a second are made beforehand."""
CALLS_PER_PAIR: Final = 2
AUTHORIZED: Final = b'"status":"authorized"'


def measure_hold_capture(installation: Installation) -> Measurement:
    """Pairs per second of 1,000 payers with prepaid wallets, 32 connections, against charges per second."""
    callers = fill(installation, PAYERS)
    return measure_rounds(
        "pairs/s",
        lambda seconds: send_pairs(installation, callers, seconds),
        "charge",
        lambda seconds: send_charges(installation, callers, seconds).per_second,
        units_per_call=1 / CALLS_PER_PAIR,
    )


def send_pairs(installation: Installation, callers: Callers, seconds: float) -> Load:
    """Authorize and capture for so many seconds; RuntimeError unless every answer is a 201."""
    requests = authorizations(callers, int(PER_SECOND_MAX * seconds))

    def capture(answer: bytes) -> bytes | None:
        if AUTHORIZED not in answer:
            return None
        hold = json.loads(answer[answer.index(b"\r\n\r\n") :])["id"]
        usage = f'{{"properties":{{"tokens":{random.randint(1, 500)},"model":"gpt-4o","region":"eu"}}}}'
        return post(f"/v1/authorizations/{hold}/capture", callers.secret, usage.encode())

    load = send_load(installation.port, requests, connections=CONNECTIONS, seconds=seconds, follow=capture)
    return load.require(201)


def authorizations(callers: Callers, made: int) -> Iterator[bytes]:
    """Requests to authorize the most that a call may use, workspaces in turn; `made` of them beforehand."""
    requests = (
        post("/v1/authorizations", callers.secret, expected(workspace))
        for workspace in cycle(callers.workspaces)
    )
    return chain(list(islice(requests, made)), requests)


def expected(workspace: str) -> bytes:
    """An event that uses 500 tokens, the most that a call does."""
    return event(workspace, tokens=500)
