"""Figures for Prometheus, counted where they cost next to nothing.

Whoever is on the path of a call only appends to a list (`Notebook.note`); a thread of the process takes the
list every second and does what is expensive: counting, drawing histograms, writing a log line. With
`PROMETHEUS_MULTIPROC_DIR` set (the web server sets it) each process keeps its figures in files there, and
whichever process is asked for them adds up all of them.
"""

from __future__ import annotations

import os
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, Generic, TypeVar

import psutil
import structlog
from django.conf import settings
from prometheus_client import CollectorRegistry, generate_latest, multiprocess, values
from prometheus_client.registry import Collector

T = TypeVar("T")
Take = Callable[[list[T]], object]

log = structlog.get_logger(__name__)

REGISTRY: Final = CollectorRegistry()
"""This process's own figures."""
CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
EVERY_SECONDS: Final = 1.0
KEPT_MAX: Final = 100_000
"""More than can come in a second; if the thread ever stood still, memory would not grow."""
_LIVE: Final = re.compile(r"gauge_live\w*_(\d+)\.db").fullmatch


class Notebook(Generic[T]):
    """Notes of one kind, taken by `take` in a thread every second."""

    def __init__(self, take: Take[T]) -> None:
        self._take = take
        self._notes: deque[T] = deque(maxlen=KEPT_MAX)
        self._reading = threading.Lock()
        self._pid = 0
        self.note: Callable[[T], None] = self._first

    def _first(self, note: T) -> None:
        """The first note of a process starts its thread; later ones only append."""
        self._notes.append(note)
        with self._reading:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                threading.Thread(target=self._run, name="telemetry", daemon=True).start()
        self.note = self._notes.append

    def flush(self) -> None:
        """Take what is noted by now."""
        with self._reading:
            notes = []
            with suppress(IndexError):
                while True:
                    notes.append(self._notes.popleft())
            if not notes:
                return
            try:
                self._take(notes)
            except Exception as error:  # a figure must not end anything
                log.warning("telemetry_failed", error=type(error).__name__)

    def _run(self) -> None:
        waiting = threading.Event()
        while not waiting.wait(EVERY_SECONDS):
            self.flush()


def exposition(collectors: Iterable[Collector]) -> bytes:
    """All figures in Prometheus's text format: those of every process here, then the collectors'."""
    counted = REGISTRY
    if values.ValueClass is not values.MutexValue:  # as the variable had it when the process began
        forget_dead_gauges(settings.METRICS_DIR)
        counted = CollectorRegistry()
        multiprocess.MultiProcessCollector(counted)  # type: ignore[no-untyped-call]
    asked = CollectorRegistry()
    for collector in collectors:
        asked.register(collector)
    return generate_latest(counted) + generate_latest(asked)


def forget_dead_gauges(folder: Path) -> None:
    """What a process that is gone had at hand counts no more; what it counted does."""
    for path in folder.glob("gauge_live*.db"):
        found = _LIVE(path.name)
        if found and not psutil.pid_exists(int(found[1])):
            path.unlink(missing_ok=True)
