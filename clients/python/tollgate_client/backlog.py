"""Events that wait to be reported: kept in order, bounded, sent under the keys they were made with."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from threading import Lock
from typing import Final

from tollgate_client.errors import ApiError, TollgateError
from tollgate_client.events import Event, encode
from tollgate_client.results import Report
from tollgate_client.retrying import is_open

log = logging.getLogger("tollgate_client")

BATCH: Final = 1_000


@dataclass(slots=True)
class BacklogState:
    """How much waits, and what has become of the rest since the start."""

    waiting: int = 0
    reported: int = 0
    refused: int = 0
    turned_away: int = 0


class Backlog:
    """A bounded queue of events, safe for threads; it does not send by itself.

    An event stays in it until the server has answered for it, so a report whose answer was lost is sent again
    and adds nothing. When it is full, `add` says so and the event is the caller's again.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._events: deque[Event] = deque()
        self._lock = Lock()
        self._reserved = 0
        self._state = BacklogState()

    def add(self, event: Event, *, is_reserved: bool = False) -> bool:
        """Keep `event` for later, in its reserved place if it has one; False when there is no room.

        Raises as `encode` does.
        """
        try:
            encode(event.as_dict())  # one that cannot be written would block all behind it
        finally:
            if is_reserved:
                self.release()
        with self._lock:
            if not (is_reserved or self._has_room()):
                return False
            self._events.append(event)
            return True

    def reserve(self) -> bool:
        """Keep a place for an event that is still happening, until `release`; False when there is no room."""
        with self._lock:
            if not self._has_room():
                return False
            self._reserved += 1
            return True

    def release(self) -> None:
        """Give a reserved place back: nothing came of it."""
        with self._lock:
            self._reserved -= 1

    def _has_room(self) -> bool:
        if len(self._events) + self._reserved < self.size:
            return True
        self._state.turned_away += 1
        log.error("The backlog of %d events is full; one was turned away.", self.size)
        return False

    @property
    def state(self) -> BacklogState:
        """A copy of the figures: what is exposed now, and what was."""
        with self._lock:
            state = self._state
            return BacklogState(len(self._events), state.reported, state.refused, state.turned_away)

    def batch(self) -> list[Event]:
        """The oldest events, which stay here until `settle`."""
        with self._lock:
            return list(islice(self._events, BATCH))

    def settle(self, batch: Sequence[Event], report: Report) -> None:
        """The server answered for `batch`: what it refused is logged, and none of it is sent again."""
        for error in report.errors:
            log.error("Event %s was refused: %s", batch[error.index].idempotency_key, error.message)
        with self._lock:
            for _ in batch:
                self._events.popleft()
            self._state.reported += len(batch) - len(report.errors)
            self._state.refused += len(report.errors)

    def refuse(self, batch: Sequence[Event], error: TollgateError) -> None:
        """The report as a whole failed: the events stay, and are sent again."""
        reach = "cannot be reported now" if is_open(error) else "cannot be reported until this is mended"
        log.log(
            logging.ERROR if isinstance(error, ApiError) else logging.WARNING,
            "%d events wait and %s: %s",
            len(batch),
            reach,
            error,
        )
