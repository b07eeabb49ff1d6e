"""Group commit: concurrent single charges of one process share a transaction (`charging.queues`).

A payer whose row another transaction holds gets a lane of its own, where its charges wait together:
one hot wallet does not hold up the rest.
"""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Final

from django.db import connection

from billing.charging.outcomes import Outcome
from billing.charging.path import charge_batch
from billing.charging.promised import read_captures
from billing.charging.queues import LoopTicket, Queue, ThreadTicket, Ticket
from billing.charging.requests import Asked, ChargeRequest, UnreadCapture
from core.scheduling import interrupt_as_ever
from core.sql import drop_broken_connection

BATCH_MAX: Final = 64
GATHER_SECONDS: Final = 0.003
LANES_MAX: Final = 16
"""Threads that wait for locked payers, for callers in the event loop; further lanes wait for one of them."""


class ChargeQueue(Queue[Asked, Outcome]):
    """Single charges. With `skip_locked`, a ticket told nothing has a payer who is locked elsewhere."""

    def __init__(
        self, leaders: Executor, *, skip_locked: bool, when_idle: Callable[[], object] = int
    ) -> None:
        super().__init__(
            callers_max=BATCH_MAX, gather_seconds=GATHER_SECONDS, leaders=leaders, when_idle=when_idle
        )
        self._skip_locked = skip_locked

    def work(self, batch: Sequence[Ticket[Asked, Outcome]]) -> None:
        """Charge them in one transaction."""
        drop_broken_connection()
        numbered = _requests(batch)
        outcomes = charge_batch(numbered, skip_locked=self._skip_locked) if numbered else {}
        for index, outcome in outcomes.items():
            batch[index].outcome = outcome


def _requests(batch: Sequence[Ticket[Asked, Outcome]]) -> list[tuple[int, ChargeRequest]]:
    """What the tickets ask for, with their places. Captures are read first; whose are wrong, are done."""
    unread = {place: one.asked for place, one in enumerate(batch) if isinstance(one.asked, UnreadCapture)}
    for place, read in zip(unread, read_captures(unread.values()), strict=True):
        if isinstance(read, Exception):
            batch[place].error = read
        else:
            batch[place].asked = read
    return [(place, one.asked) for place, one in enumerate(batch) if isinstance(one.asked, ChargeRequest)]


_everyone: Final = ChargeQueue(
    ThreadPoolExecutor(1, "charges", initializer=interrupt_as_ever), skip_locked=True
)
_lanes: Final[dict[str, ChargeQueue]] = {}
_lane_leaders: Final = ThreadPoolExecutor(LANES_MAX, "lanes", initializer=interrupt_as_ever)


def charge_one(asked: Asked) -> Outcome:
    """Charge a single request, sharing the commit with others that come at the same time."""
    name = _lane_name(asked)
    ticket: ThreadTicket[Asked, Outcome] = ThreadTicket(asked)
    if connection.in_atomic_block:
        # The caller's own transaction (a test's, a command's) must stay its own.
        numbered = _requests([ticket])
        return charge_batch(numbered, skip_locked=False)[0] if numbered else ticket.result()
    if name not in _lanes:
        _everyone.ask(ticket)
    if not ticket.is_done:
        name, ticket = _lane_name(ticket.asked), ThreadTicket(ticket.asked)
        _lane(name).ask(ticket)
    return ticket.result()


async def charge_in_loop(asked: Asked) -> Outcome:
    """`charge_one` for a coroutine: the database is asked in a thread, the loop goes on."""
    name, loop = _lane_name(asked), get_running_loop()
    ticket: LoopTicket[Asked, Outcome] = LoopTicket(asked, loop)
    if name not in _lanes:
        _everyone.submit(ticket)
        await ticket.told
    if not ticket.is_done:
        name, ticket = _lane_name(ticket.asked), LoopTicket(ticket.asked, loop)
        _lane(name).submit(ticket)
        await ticket.told
    return ticket.result()


def _lane_name(asked: Asked) -> str:
    if isinstance(asked, UnreadCapture):
        return ""  # it is not known yet whose lane it would be
    event = asked.event
    return event.workspace or event.api_key or event.billing_entity or ""


def _lane(name: str) -> ChargeQueue:
    """The lane of a payer that is locked elsewhere; gone again when nobody waits in it."""
    lane = ChargeQueue(_lane_leaders, skip_locked=False, when_idle=lambda: _lanes.pop(name, None))
    return _lanes.setdefault(name, lane)
