"""Which threads interrupt others when they wake: docs/adr/0029-web-processes-interrupt-nobody.md."""

from __future__ import annotations

import os
from contextlib import suppress

_usual: int | None = None
"""The policy under which this process was started, once it has another."""


def interrupt_nobody() -> None:
    """Schedule this thread, and those that it makes from here on, as a batch, where the system has that."""
    global _usual
    if hasattr(os, "sched_setscheduler"):
        with suppress(OSError):  # a container may forbid it
            usual = os.sched_getscheduler(0)
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            _usual = usual


def interrupt_as_ever() -> None:
    """Schedule this thread as the process was before `interrupt_nobody`: it comes back with locks in hand."""
    if _usual is not None:
        with suppress(OSError):
            os.sched_setscheduler(0, _usual, os.sched_param(0))
