"""Many requests as a few transactions, by who calls.

Two transactions over the same payers would wait for each other from the first lock to the commit. Cut by
callers, they work one behind the other; and the more calls of a payer a
transaction has, the less each costs, since a payer is locked, read and written once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Final
from zlib import crc32

from billing.charging.requests import ChargeRequest

SHARD_MAX: Final = 1000
"""The most requests in one transaction: for so long its payers are locked."""
Numbered = tuple[int, ChargeRequest]
"""A request and its place in the caller's list."""
_CALLERS: Final = 1 << 32
_begin: Final = int(os.getpid() * 0.618034 % 1 * _CALLERS)
"""Where this process begins to walk the callers; processes of neighbouring numbers far from each other."""


def shards_of(requests: Sequence[Numbered]) -> list[list[Numbered]]:
    """Transactions of about the same size, SHARD_MAX at most. Calls of one caller stay in their order."""
    count = -(-len(requests) // SHARD_MAX)
    if count < 2:
        return [list(requests)] if requests else []
    return list(_filled(_by_caller(requests), -(-len(requests) // count)))


def caller_of(request: ChargeRequest) -> str:
    """Who calls, as the event names it."""
    event = request.event
    return event.workspace or event.api_key or event.billing_entity or ""


def _by_caller(requests: Iterable[Numbered]) -> list[list[Numbered]]:
    """The requests of each caller; callers in the same circle for all processes."""
    callers: dict[str, list[Numbered]] = {}
    for numbered in requests:
        caller = caller_of(numbered[1])
        known = callers.get(caller)
        if known is None:
            callers[caller] = [numbered]
        else:
            known.append(numbered)
    return [callers[name] for name in sorted(callers, key=_place)]


def _place(caller: str) -> int:
    return (crc32(caller.encode()) - _begin) % _CALLERS


def _filled(callers: Iterable[list[Numbered]], size: int) -> Iterable[list[Numbered]]:
    """Callers one after the other into shards of `size`; who has more gets several, in order."""
    shard: list[Numbered] = []
    for calls in callers:
        shard += calls
        while len(shard) >= size:
            yield shard[:size]
            shard = shard[size:]
    if shard:
        yield shard
