"""A queue of callers who ask for the same kind of thing at the same time, and share the work.

A caller queues up. Where nobody leads, a leader is made: it takes what waits, does the work for all of them
and tells the callers; whatever queued up meanwhile is the next batch. So a batch is as large as the last one
took long. A caller is a thread, which leads itself, or a coroutine of the event loop, for which a thread of
the queue's own leads; the loop is told of all its answers at once.

Where many call at once, those who were just answered are about to call again: the leader lets them come, for
a bounded time, since one larger batch costs much less than two (as PostgreSQL's commit_delay with
commit_siblings). A caller who is alone, or nearly, never waits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from threading import Lock
from typing import Any, Final, Generic, TypeVar

Ask = TypeVar("Ask")
Outcome = TypeVar("Outcome")
SIBLINGS_MIN: Final = 4
"""From this many callers at once the leader gathers."""


class Ticket(Generic[Ask, Outcome]):
    """One who waits. What it means to be told neither outcome nor error is the queue's to say."""

    __slots__ = ("asked", "error", "outcome")

    def __init__(self, asked: Ask) -> None:
        self.asked = asked
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None

    @property
    def is_done(self) -> bool:
        """Whether there is an outcome or an error."""
        return self.outcome is not None or self.error is not None

    def result(self) -> Outcome:
        """The outcome; raises the error."""
        if self.error is not None:
            raise self.error
        assert self.outcome is not None
        return self.outcome


class ThreadTicket(Ticket[Ask, Outcome]):
    """A thread waits at `wake`, until it is told or is to lead."""

    __slots__ = ("leads", "wake")

    def __init__(self, asked: Ask) -> None:
        super().__init__(asked)
        self.leads = False
        self.wake = Lock()
        self.wake.acquire()


class LoopTicket(Ticket[Ask, Outcome]):
    """A coroutine awaits `told`."""

    __slots__ = ("loop", "told")

    def __init__(self, asked: Ask, loop: AbstractEventLoop) -> None:
        super().__init__(asked)
        self.loop = loop
        self.told: Future[None] = loop.create_future()


class Queue(ABC, Generic[Ask, Outcome]):
    """Callers in the order they came. One leader at a time: a second would make smaller batches, and two
    processes overlap work and waiting.

    `callers_max`: the most in one batch. `gather_seconds`: the longest that a leader waits for those who are
    about to call again.
    """

    def __init__(
        self,
        *,
        callers_max: int,
        gather_seconds: float,
        leaders: Executor | None = None,
        when_idle: Callable[[], object] = int,
    ) -> None:
        self.gather_seconds = gather_seconds
        self._callers_max = callers_max
        self._leaders = leaders
        self._when_idle = when_idle
        self._mutex = Lock()
        self._waiting: deque[Ticket[Ask, Outcome]] = deque()
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

    @property
    def waiting(self) -> int:
        """How many callers wait for a leader."""
        return len(self._waiting)

    @abstractmethod
    def work(self, batch: Sequence[Ticket[Ask, Outcome]]) -> None:
        """Do what the tickets ask and give each its outcome or error; what it raises is everybody's error."""

    def take(self, waiting: deque[Ticket[Ask, Outcome]]) -> list[Ticket[Ask, Outcome]]:
        """The next batch, off the queue."""
        return [waiting.popleft() for _ in range(min(self._callers_max, len(waiting)))]

    def room(self, waiting: Collection[Ticket[Ask, Outcome]]) -> int:
        """How many callers more the next batch may have."""
        return self._callers_max - len(waiting)

    def ask(self, ticket: ThreadTicket[Ask, Outcome]) -> None:
        """Return when the ticket was told."""
        if not self._enter(ticket):
            ticket.wake.acquire()
            if not ticket.leads:
                return
        try:
            self._work_next()
        finally:
            self._hand_over()

    def submit(self, ticket: LoopTicket[Ask, Outcome]) -> None:
        """The same without waiting: the ticket's loop is told."""
        if self._enter(ticket):
            self._submit_leader()

    def _submit_leader(self) -> None:
        assert self._leaders is not None, "a queue for coroutines has leaders of its own"
        self._leaders.submit(self._lead)

    def _enter(self, ticket: Ticket[Ask, Outcome]) -> bool:
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
        """Work batch after batch, until nobody waits."""
        goes_on = True
        while goes_on:
            self._work_next()
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
            self._submit_leader()

    def _work_next(self) -> None:
        """Work for one batch and tell its callers."""
        self._gather()
        with self._mutex:
            batch = self.take(self._waiting)
        try:
            self.work(batch)
        except BaseException as error:  # whoever waits must hear of it
            for ticket in batch:
                ticket.error = error
        finally:
            with self._mutex:
                self._expected = min(self._callers_max, len(batch) + len(self._waiting))
            tell(batch)

    def _gather(self) -> None:
        """Let those who are about to call again come, if they are many; not longer than `gather_seconds`."""
        with self._mutex:
            is_worth_it = self._expected >= SIBLINGS_MIN
            missing = min(self._expected - len(self._waiting), self.room(self._waiting))
            self._missing = max(0, missing) if is_worth_it else 0
            if not self._missing:
                return
        if self._is_whole.acquire(timeout=self.gather_seconds):
            return
        with self._mutex:
            if not self._missing:  # the last one came between the two lines
                self._is_whole.acquire(blocking=False)
            self._missing = 0


def tell(batch: Sequence[Ticket[Any, Any]]) -> None:
    """Wake the threads, and each loop once for all its coroutines: a wake-up costs as much as a charge."""
    loops: dict[AbstractEventLoop, list[LoopTicket[Any, Any]]] = {}
    for ticket in batch:
        if isinstance(ticket, LoopTicket):
            loops.setdefault(ticket.loop, []).append(ticket)
        elif isinstance(ticket, ThreadTicket):
            ticket.wake.release()
    for loop, tickets in loops.items():
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_resolve, tickets)


def _resolve(tickets: Sequence[LoopTicket[Any, Any]]) -> None:
    for ticket in tickets:
        if not ticket.told.done():  # a caller who hung up
            ticket.told.set_result(None)
