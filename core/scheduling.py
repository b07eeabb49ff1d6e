"""Which threads of a busy process interrupt others when they wake: docs/adr/0029-busy-processes.md."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

EVERY_SECONDS: Final = 1.0
BUSY: Final = 0.25
"""A process that had so much of one processor is busy."""
QUIET_SECONDS: Final = 10.0
"""So long it has to be quiet to be scheduled as usual again."""

_as_ever: Final[set[int]] = set()
"""The threads that interrupt others whatever happens."""
_turn: Final = threading.Lock()
"""A thread that becomes one of them is not made a batch at the same time."""
_is_watched = False


class Bustle:
    """Whether a process is busy, from the processor time that it has had: at once, and until it is quiet."""

    def __init__(self, used: float) -> None:
        self.is_busy = False
        self._used = used
        self._quiet = 0.0

    def note(self, used: float, seconds: float) -> bool:
        """Take in that it has had `used` by now, `seconds` after the last time; whether that changes it."""
        is_quiet = used - self._used < BUSY * seconds
        self._used = used
        self._quiet = self._quiet + seconds if is_quiet else 0.0
        was_busy = self.is_busy
        self.is_busy = not is_quiet or (was_busy and self._quiet < QUIET_SECONDS)
        return self.is_busy != was_busy


def interrupt_nobody_while_busy() -> None:
    """Schedule this process's threads as a batch while it is busy, where the system has that.

    A process that was started under another policy than the usual one keeps it.
    """
    global _is_watched
    if hasattr(os, "sched_setscheduler") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        _is_watched = True
        threading.Thread(target=_watch, name="scheduling", daemon=True).start()


def interrupt_as_ever() -> None:
    """Never schedule this thread as a batch: it comes back with locks in hand."""
    with _turn:
        _as_ever.add(threading.get_native_id())
        if _is_watched:  # who made it may be a batch just now
            _schedule(threading.get_native_id(), os.SCHED_OTHER)


@contextmanager
def starting_a_program() -> Iterator[None]:
    """Let what this thread starts here be scheduled as usual: it would be a batch for as long as it runs."""
    thread, was_leader = threading.get_native_id(), threading.get_native_id() in _as_ever
    interrupt_as_ever()
    try:
        yield
    finally:
        if not was_leader:
            _as_ever.discard(thread)  # the next look makes it what the others are


def _watch() -> None:
    bustle, at = Bustle(time.process_time()), time.monotonic()
    while True:
        time.sleep(EVERY_SECONDS)
        before, at = at, time.monotonic()
        if bustle.note(time.process_time(), at - before) or bustle.is_busy:  # there may be new threads
            _schedule_all(os.SCHED_BATCH if bustle.is_busy else os.SCHED_OTHER)


def _schedule_all(policy: int) -> None:
    with _turn:
        for thread in map(int, os.listdir("/proc/self/task")):
            if thread not in _as_ever:
                _schedule(thread, policy)


def _schedule(thread: int, policy: int) -> None:
    with suppress(OSError):  # a container may forbid it, or the thread is over
        os.sched_setscheduler(thread, policy, os.sched_param(0))
