"""Reports that come at the same time share transactions (`charging.queues`), by payers.

A report of a thousand events over a thousand payers has one event of each, so what is done once a payer is
done for every event. Put together with others and cut again by payers (`charging.shards`), a transaction of
the same size has several events of each. docs/adr/0028-reports-share-transactions.md.

A leader waits for nobody's lock. What it meets locked it tries again at the end; what is locked even then is
left to those who reported it, each in its own thread. Small reports have a queue of their own, so that none
stands behind ten thousand events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from itertools import chain
from typing import Final

from django.db import connection

from accounts.credentials import IntegrationKeyRecord
from billing.charging.outcomes import Outcome
from billing.charging.path import charge_batch, charge_many, charge_numbered
from billing.charging.queues import Queue, ThreadTicket, Ticket
from billing.charging.requests import ChargeRequest, Mode
from billing.charging.shards import Numbered, caller_of, shards_of
from core.database_errors import Unavailable
from core.sql import drop_broken_connection
from metering.events import EventInput

FEW: Final = 100
"""Reports of up to so many events are small."""
FEW_EVENTS_MAX: Final = 1000
EVENTS_MAX: Final = 10_000
"""The most events that a leader takes of small reports, and of large ones; a report is never cut."""
CALLERS_MAX: Final = 64
FEW_GATHER_SECONDS: Final = 0.003
GATHER_SECONDS: Final = 0.1
"""How long a leader waits at most for those who were just answered, if they were many: they have to send and
have parsed the next report, which takes some 10 ms for each large one."""
Report = Sequence[ChargeRequest]
Outcomes = dict[int, Outcome]
"""By place in the report; what is missing was locked elsewhere."""


class ReportQueue(Queue[Report, Outcomes]):
    """Reports, up to `events_max` events at once."""

    def __init__(self, *, events_max: int, gather_seconds: float = 0) -> None:
        super().__init__(callers_max=CALLERS_MAX, gather_seconds=gather_seconds)
        self._events_max = events_max

    def take(self, waiting: deque[Ticket[Report, Outcomes]]) -> list[Ticket[Report, Outcomes]]:
        """As many as go together, the first in any case."""
        batch = [waiting.popleft()]
        events = len(batch[0].asked)
        while waiting and len(batch) < CALLERS_MAX:
            events += len(waiting[0].asked)
            if events > self._events_max:
                break
            batch.append(waiting.popleft())
        return batch

    def room(self, waiting: Collection[Ticket[Report, Outcomes]]) -> int:
        """How many reports more the next batch may have, of the size of those that wait."""
        events = sum(len(ticket.asked) for ticket in waiting)
        return (self._events_max - events) * len(waiting) // events

    def work(self, batch: Sequence[Ticket[Report, Outcomes]]) -> None:
        """Record all reports, and give each its own outcomes, or the error of what is in it."""
        drop_broken_connection()
        merged = _Merged(list(enumerate(chain.from_iterable(ticket.asked for ticket in batch))))
        for _ in range(2):
            merged.record_free()
        end = 0
        for ticket in batch:
            begin, end = end, end + len(ticket.asked)
            ticket.outcome, ticket.error = merged.part(begin, end)


class _Merged:
    """The reports of one batch, as one. `left`: what is to be recorded still."""

    def __init__(self, requests: list[Numbered]) -> None:
        self.left = requests
        self._outcomes: Outcomes = {}
        self._errors: dict[int, BaseException] = {}

    def record_free(self) -> None:
        """Record all that is locked nowhere else, and of nobody a later call before an earlier one.

        What breaks a transaction is the error of those who have a request in it; when the database is away,
        of all who are not done.
        """
        shards = shards_of(self.left)
        held_up: set[str] = set()
        for number, shard in enumerate(shards):
            free = [one for one in shard if caller_of(one[1]) not in held_up] if held_up else shard
            if not free:
                continue
            try:
                recorded = charge_batch(free, skip_locked=True)
                self._outcomes |= recorded
                if len(recorded) < len(free):
                    held_up |= {caller_of(request) for place, request in free if place not in recorded}
            except BaseException as error:
                is_everybodys = isinstance(error, Unavailable) or not isinstance(error, Exception)
                failed = shards[number:] if is_everybodys else [free]
                self._errors |= {place: error for place, _ in chain.from_iterable(failed)}
                if is_everybodys:
                    break
        known = self._outcomes.keys() | self._errors.keys()
        self.left = [numbered for numbered in self.left if numbered[0] not in known]

    def part(self, begin: int, end: int) -> tuple[Outcomes, BaseException | None]:
        """The outcomes of one report, by place in it, and the first error."""
        places = range(begin, end)
        outcomes = {place - begin: self._outcomes[place] for place in places if place in self._outcomes}
        errors = (self._errors[place] for place in places if place in self._errors)
        return outcomes, next(errors, None) if self._errors else None


_small: Final = ReportQueue(events_max=FEW_EVENTS_MAX, gather_seconds=FEW_GATHER_SECONDS)
_large: Final = ReportQueue(events_max=EVENTS_MAX, gather_seconds=GATHER_SECONDS)


def report_together(
    events: Sequence[EventInput], *, credential: IntegrationKeyRecord | None = None
) -> list[Outcome]:
    """`report_events` for one of many callers at once: in transactions that they share."""
    requests = [ChargeRequest(event, Mode.REPORT, "api", credential) for event in events]
    if not requests or connection.in_atomic_block:
        return charge_many(requests)  # the caller's own transaction must stay its own
    ticket: ThreadTicket[Report, Outcomes] = ThreadTicket(requests)
    (_small if len(requests) <= FEW else _large).ask(ticket)
    outcomes = ticket.result()
    if len(outcomes) < len(requests):
        outcomes |= charge_numbered([one for one in enumerate(requests) if one[0] not in outcomes])
    return [outcomes[place] for place in range(len(requests))]
