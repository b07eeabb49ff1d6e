"""A thread that works behind the caller's back, started when there is something to do."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Condition, Thread

from tollgate_client.errors import TollgateError

log = logging.getLogger("tollgate_client")

SLOWER = 2.0
PAUSE_MAX = 30.0


class Background:
    """Calls `work` at most every `seconds` while it is woken; after a failure ever more slowly.

    The thread is a daemon and starts at the first `wake`, so a process may fork before. `work` raises
    TollgateError when it has to be tried again.
    """

    def __init__(self, name: str, work: Callable[[], None], seconds: float) -> None:
        self._name = name
        self._work = work
        self._seconds = seconds
        self._changed = Condition()
        self._is_wanted = False
        self._is_over = False
        self._thread: Thread | None = None

    def wake(self) -> None:
        """There is something to do."""
        with self._changed:
            if self._is_wanted or self._is_over:
                return
            self._is_wanted = True
            if self._thread is None:
                self._thread = Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def stop(self) -> None:
        """End the thread, after the work that it is at."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        pause = self._seconds
        while self._wait(pause):
            try:
                self._work()
                pause = self._seconds
            except TollgateError:  # whose cause the work itself has logged
                pause = min(PAUSE_MAX, pause * SLOWER)
                self._want_again()
            except Exception:
                log.exception("%s failed", self._name)
                pause = PAUSE_MAX
                self._want_again()

    def _wait(self, pause: float) -> bool:
        """Wait for work, and then so long that more of it comes together; False at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_wanted or self._is_over)
            self._changed.wait_for(lambda: self._is_over, timeout=pause)
            self._is_wanted = False
            return not self._is_over

    def _want_again(self) -> None:
        with self._changed:
            self._is_wanted = True
