"""Group commit: concurrent single charges of one process share a transaction.

A caller puts its charge into the queue. Where nobody leads, a leader is made: it takes what is queued,
charges it in one transaction and tells the callers; whatever queued up meanwhile is the next batch. So a
batch is as large as the last commit was long. A caller is a thread, which leads itself, or a coroutine of
the event loop, for which a thread of this module leads; the loop is told of all its answers at once.

Where many call at once, those who were just answered are about to call again: the leader lets them come,
for GATHER_SECONDS at most, since one larger batch costs much less than two (as PostgreSQL's commit_delay
with commit_siblings). A caller who is alone, or nearly, never waits.

A payer whose row another transaction holds gets a lane of its own, where its charges wait together:
one hot wallet does not hold up the rest.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from threading import Lock
from typing import Final

from django.db import connection

from billing.charging.outcomes import Outcome
from billing.charging.path import charge_batch
from billing.charging.promised import read_captures
from billing.charging.requests import Asked, ChargeRequest, UnreadCapture
from core.sql import drop_broken_connection

BATCH_MAX: Final = 64
GATHER_SECONDS: Final = 0.003
SIBLINGS_MIN: Final = 4
"""From this many callers at once the leader gathers."""
LANES_MAX: Final = 16
"""Threads that wait for locked payers, for callers in the event loop; further lanes wait for one of them."""


class Ticket:
    """One waiting charge. Told with neither outcome nor error, its payer's row is locked elsewhere."""

    __slots__ = ("asked", "error", "outcome")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is an outcome or an error."""
        return self.outcome is not None or self.error is not None


class ThreadTicket(Ticket):
    """A thread waits at `wake`, until it is told or is to lead."""

    __slots__ = ("leads", "wake")

    def __init__(self, asked: Asked) -> None:
        super().__init__(asked)
        self.leads = False
        self.wake = Lock()
        self.wake.acquire()


class LoopTicket(Ticket):
    """A coroutine awaits `told`."""

    __slots__ = ("loop", "told")

    def __init__(self, asked: Asked, loop: AbstractEventLoop) -> None:
        super().__init__(asked)
        self.loop = loop
        self.told: Future[None] = loop.create_future()


class Queue:
    """Charges in the order they came. One leader at a time: a second would make smaller batches, and two
    processes overlap work and waiting."""

    def __init__(
        self, leaders: Executor, *, skip_locked: bool, when_idle: Callable[[], object] = int
    ) -> None:
        self._leaders = leaders
        self._skip_locked = skip_locked
        self._when_idle = when_idle
        self._mutex = Lock()
        self._waiting: deque[Ticket] = deque()
        self._is_led = False
        self._expected = 0
        """So many called of late: those of the last batch, about to call again, and who waited then."""
        self._missing = 0
        self._is_whole = Lock()
        self._is_whole.acquire()

    @property
    def is_idle(self) -> bool:
        """Whether nobody leads, and so nobody waits."""
        return not self._is_led

    def charge(self, ticket: ThreadTicket) -> None:
        """Return when the ticket is done, or (with skip_locked) when its payer's row is locked elsewhere."""
        if not self._enter(ticket):
            ticket.wake.acquire()
            if not ticket.leads:
                return
        try:
            self._charge_next()
        finally:
            self._hand_over()

    def submit(self, ticket: LoopTicket) -> None:
        """The same without waiting: the ticket's loop is told."""
        if self._enter(ticket):
            self._leaders.submit(self._lead)

    def _enter(self, ticket: Ticket) -> bool:
        """Queue up; whether this makes a leader necessary. Who leads himself is the first in the queue."""
        with self._mutex:
            self._waiting.append(ticket)
            if self._missing:
                self._missing -= 1
                if not self._missing:
                    self._is_whole.release()
            is_first, self._is_led = not self._is_led, True
            return is_first

    def _lead(self) -> None:
        """Charge batch after batch, until nobody waits."""
        goes_on = True
        while goes_on:
            self._charge_next()
            with self._mutex:
                goes_on = self._is_led = bool(self._waiting)
        self._when_idle()

    def _hand_over(self) -> None:
        """Let a waiting thread lead, or one of ours where coroutines wait."""
        with self._mutex:
            successor = self._waiting[0] if self._waiting else None
            self._is_led = successor is not None
        if successor is None:
            self._when_idle()
        elif isinstance(successor, ThreadTicket):
            successor.leads = True
            successor.wake.release()
        else:
            self._leaders.submit(self._lead)

    def _charge_next(self) -> None:
        """Charge one batch and tell its callers."""
        self._gather()
        with self._mutex:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
        try:
            self._run(batch)
        finally:
            with self._mutex:
                self._expected = min(BATCH_MAX, len(batch) + len(self._waiting))
            tell(batch)

    def _gather(self) -> None:
        """Let those who are about to call again come, if they are many; not longer than GATHER_SECONDS."""
        with self._mutex:
            is_worth_it = self._expected >= SIBLINGS_MIN
            self._missing = max(0, self._expected - len(self._waiting)) if is_worth_it else 0
            if not self._missing:
                return
        if self._is_whole.acquire(timeout=GATHER_SECONDS):
            return
        with self._mutex:
            if not self._missing:  # the last one came between the two lines
                self._is_whole.acquire(blocking=False)
            self._missing = 0

    def _run(self, batch: Sequence[Ticket]) -> None:
        try:
            drop_broken_connection()
            numbered = _requests(batch)
            outcomes = charge_batch(numbered, skip_locked=self._skip_locked) if numbered else {}
        except BaseException as error:  # whoever waits must hear of it
            for ticket in batch:
                ticket.error = error
            return
        for index, outcome in outcomes.items():
            batch[index].outcome = outcome


def _requests(batch: Sequence[Ticket]) -> list[tuple[int, ChargeRequest]]:
    """What the tickets ask for, with their places. Captures are read first; whose are wrong, are done."""
    unread = {place: one.asked for place, one in enumerate(batch) if isinstance(one.asked, UnreadCapture)}
    for place, read in zip(unread, read_captures(unread.values()), strict=True):
        if isinstance(read, Exception):
            batch[place].error = read
        else:
            batch[place].asked = read
    return [(place, one.asked) for place, one in enumerate(batch) if isinstance(one.asked, ChargeRequest)]


def tell(batch: Sequence[Ticket]) -> None:
    """Wake the threads, and each loop once for all its coroutines: a wake-up costs as much as a charge."""
    loops: dict[AbstractEventLoop, list[LoopTicket]] = {}
    for ticket in batch:
        if isinstance(ticket, LoopTicket):
            loops.setdefault(ticket.loop, []).append(ticket)
        elif isinstance(ticket, ThreadTicket):
            ticket.wake.release()
    for loop, tickets in loops.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, tickets)


def _resolve(tickets: Sequence[LoopTicket]) -> None:
    for ticket in tickets:
        if not ticket.told.done():  # a caller who hung up
            ticket.told.set_result(None)


_everyone: Final = Queue(ThreadPoolExecutor(1, "charges"), skip_locked=True)
_lanes: Final[dict[str, Queue]] = {}
_lane_leaders: Final = ThreadPoolExecutor(LANES_MAX, "lanes")


def charge_one(asked: Asked) -> Outcome:
    """Charge a single request, sharing the commit with others that come at the same time."""
    name, ticket = _lane_name(asked), ThreadTicket(asked)
    if connection.in_atomic_block:
        # The caller's own transaction (a test's, a command's) must stay its own.
        numbered = _requests([ticket])
        return charge_batch(numbered, skip_locked=False)[0] if numbered else _outcome(ticket)
    if name not in _lanes:
        _everyone.charge(ticket)
    if not ticket.is_done:
        name, ticket = _lane_name(ticket.asked), ThreadTicket(ticket.asked)
        _lane(name).charge(ticket)
    return _outcome(ticket)


async def charge_in_loop(asked: Asked) -> Outcome:
    """`charge_one` for a coroutine: the database is asked in a thread, the loop goes on."""
    name, loop = _lane_name(asked), get_running_loop()
    ticket = LoopTicket(asked, loop)
    if name not in _lanes:
        _everyone.submit(ticket)
        await ticket.told
    if not ticket.is_done:
        name, ticket = _lane_name(ticket.asked), LoopTicket(ticket.asked, loop)
        _lane(name).submit(ticket)
        await ticket.told
    return _outcome(ticket)


def _lane_name(asked: Asked) -> str:
    if isinstance(asked, UnreadCapture):
        return ""  # it is not known yet whose lane it would be
    event = asked.event
    return event.workspace or event.api_key or event.billing_entity or ""


def _lane(name: str) -> Queue:
    """The lane of a payer that is locked elsewhere; gone again when nobody waits in it."""
    lane = Queue(_lane_leaders, skip_locked=False, when_idle=lambda: _lanes.pop(name, None))
    return _lanes.setdefault(name, lane)


def _outcome(ticket: Ticket) -> Outcome:
    if ticket.error is not None:
        raise ticket.error
    assert ticket.outcome is not None
    return ticket.outcome
