"""`gateway`: checks, each of which holds money, against a bare Django view on the same server."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import chain, cycle, islice, repeat
from typing import Final
from uuid import uuid4

from benchmarks.calls import CONNECTIONS, MEETINGS, fill
from benchmarks.charge import PAYERS, PER_SECOND_MAX
from benchmarks.installation import HOST, Installation
from benchmarks.load import Load, send_load
from benchmarks.measurement import Measurement
from benchmarks.rounds import measure_rounds

BARE: Final = f"GET /healthz HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def measure_gateway(installation: Installation) -> Measurement:
    """Checks per second for 1,000 payers with prepaid wallets at a graduated price, 32 connections."""
    secret = fill(installation, PAYERS).secret
    keys: list[str] = json.loads(installation.run_module("benchmarks.gateway_keys"))
    random.shuffle(keys)
    send_load(installation.port, islice(checks(secret, keys), MEETINGS * PAYERS), connections=CONNECTIONS)
    return measure_rounds(
        "checks/s",
        lambda seconds: _send_checks(installation, secret, keys, seconds),
        "bare Django view",
        lambda seconds: _send_bare(installation, seconds).per_second,
    )


def checks(secret: str, keys: list[str]) -> Iterator[bytes]:
    """What nginx asks, for callers in turn, each time about a new call."""
    for key in cycle(keys):
        yield (
            f"GET /v1/gateway/authorize HTTP/1.1\r\nHost: {HOST}\r\nX-Tollgate-Key: {secret}\r\n"
            f"Authorization: Bearer {key}\r\nX-Request-Id: {uuid4().hex}\r\nX-Tollgate-Event: completion\r\n"
            f'X-Tollgate-Properties: {{"tokens":{random.randint(1, 500)}}}\r\n\r\n'
        ).encode()


def _send_checks(installation: Installation, secret: str, keys: list[str], seconds: float) -> Load:
    """Ask for so many seconds; RuntimeError unless every call may go on."""
    made = list(islice(checks(secret, keys), int(PER_SECOND_MAX * seconds)))
    requests = chain(made, checks(secret, keys))
    return send_load(installation.port, requests, connections=CONNECTIONS, seconds=seconds).require(200)


def _send_bare(installation: Installation, seconds: float) -> Load:
    return send_load(installation.port, repeat(BARE), connections=CONNECTIONS, seconds=seconds).require(200)
