"""Group commit: concurrent single charges of one process share a transaction.

A request puts its charge into the queue. If nobody leads, it becomes the leader: it takes what is
queued, charges it in one transaction and wakes the others; whatever queued up meanwhile is the next
batch, led by its first request. So a batch is as large as the last commit was long.

Where many call at once, those who were just answered are about to call again: the leader lets them come,
for GATHER_SECONDS at most, since one larger batch costs much less than two (as PostgreSQL's commit_delay
with commit_siblings). A caller who is alone, or nearly, never waits.

A payer whose row another transaction holds gets a lane of its own, where its charges wait together:
one hot wallet does not hold up the rest.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import Final

from django.db import connection

from billing.charging.outcomes import Outcome
from billing.charging.path import charge_batch
from billing.charging.requests import ChargeRequest
from core.sql import drop_broken_connection

BATCH_MAX: Final = 64
GATHER_SECONDS: Final = 0.002
SIBLINGS_MIN: Final = 4
"""From this many callers at once the leader gathers."""
LEADERS_MAX: Final = 1
"""More would make smaller batches, and gathering counts on one; two processes overlap work and waiting."""


class Ticket:
    """One waiting charge. `wake` is released when it has an outcome, an error, or is to lead."""

    __slots__ = ("error", "leads", "outcome", "request", "wake")

    def __init__(self, request: ChargeRequest) -> None:
        self.request = request
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.leads = False
        self.wake = Lock()
        self.wake.acquire()

    @property
    def is_done(self) -> bool:
        """Whether there is an outcome or an error."""
        return self.outcome is not None or self.error is not None


class Queue:
    """Charges in the order they came, and how many leaders are at work on them."""

    def __init__(self, leaders_max: int, *, skip_locked: bool) -> None:
        self._mutex = Lock()
        self._waiting: deque[Ticket] = deque()
        self._leaders = 0
        self._leaders_max = leaders_max
        self._skip_locked = skip_locked
        self._answered = 0
        """The size of the last batch: so many are about to call again."""
        self._missing = 0
        self._is_whole = Lock()
        self._is_whole.acquire()

    @property
    def is_idle(self) -> bool:
        """Whether nobody leads, and so nobody waits."""
        return self._leaders == 0

    def charge(self, ticket: Ticket) -> None:
        """Return when the ticket is done, or (with skip_locked) when its payer's row is locked elsewhere."""
        with self._mutex:
            leads = self._leaders < self._leaders_max
            if leads:
                self._leaders += 1
            else:
                self._waiting.append(ticket)
                self._note_arrival()
        if not leads:
            ticket.wake.acquire()
            if not ticket.leads:
                return
        self._lead(ticket, is_back=leads)

    def _lead(self, own: Ticket, *, is_back: bool) -> None:
        """Charge one batch, the own ticket in it, then hand over to whoever waits first.

        `is_back`: nobody led when it came, so it is one of those who were answered last.
        """
        self._gather(back=int(is_back))
        with self._mutex:
            others = [self._waiting.popleft() for _ in range(min(BATCH_MAX - 1, len(self._waiting)))]
            self._answered = len(others) + 1
        try:
            self._run([own, *others])
        finally:
            for ticket in others:
                ticket.wake.release()
            self._hand_over()

    def _gather(self, back: int) -> None:
        """Let those who were just answered come back, if they are many; not longer than GATHER_SECONDS."""
        with self._mutex:
            is_worth_it = self._answered + len(self._waiting) >= SIBLINGS_MIN
            missing = self._answered - back - (len(self._waiting) if back else 0)
            self._missing = missing = max(0, missing) if is_worth_it else 0
        if not missing or self._is_whole.acquire(timeout=GATHER_SECONDS):
            return
        with self._mutex:
            if not self._missing:  # the last one came between the two lines
                self._is_whole.acquire(blocking=False)
            self._missing = 0

    def _note_arrival(self) -> None:
        if self._missing:
            self._missing -= 1
            if not self._missing:
                self._is_whole.release()

    def _run(self, batch: list[Ticket]) -> None:
        numbered = [(index, ticket.request) for index, ticket in enumerate(batch)]
        try:
            drop_broken_connection()
            outcomes = charge_batch(numbered, skip_locked=self._skip_locked)
        except BaseException as error:  # whoever waits must hear of it
            for ticket in batch:
                ticket.error = error
            return
        for index, outcome in outcomes.items():
            batch[index].outcome = outcome

    def _hand_over(self) -> None:
        with self._mutex:
            if not self._waiting:
                self._leaders -= 1
                return
            successor = self._waiting.popleft()
        successor.leads = True
        successor.wake.release()


_everyone: Final = Queue(LEADERS_MAX, skip_locked=True)
_lanes: Final[dict[str, Queue]] = {}


def charge_one(request: ChargeRequest) -> Outcome:
    """Charge a single request, sharing the commit with others that come at the same time."""
    if connection.in_atomic_block:
        # The caller's own transaction (a test's, a command's) must stay its own.
        return charge_batch([(0, request)], skip_locked=False)[0]
    ticket = Ticket(request)
    event = request.event
    name = event.workspace or event.api_key or event.billing_entity or ""
    if name not in _lanes:
        _everyone.charge(ticket)
    if not ticket.is_done:
        lane = _lanes.setdefault(name, Queue(1, skip_locked=False))
        ticket.leads = False
        lane.charge(ticket)
        if lane.is_idle:
            _lanes.pop(name, None)
    if ticket.error is not None:
        raise ticket.error
    assert ticket.outcome is not None
    return ticket.outcome
