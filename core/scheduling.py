"""Which threads interrupt others when they wake: docs/adr/0029-web-processes-interrupt-nobody.md."""

from __future__ import annotations

import os
from contextlib import suppress

_is_batch = False
"""Whether this process made a batch of itself: what an operator has started as one stays one."""


def interrupt_nobody() -> None:
    """Schedule this thread, and those that it makes from here on, as a batch, where the system has that.

    A process that was started under another policy than the usual one keeps it.
    """
    global _is_batch
    if hasattr(os, "sched_setscheduler") and os.sched_getscheduler(0) == os.SCHED_OTHER:
        with suppress(OSError):  # a container may forbid it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
            _is_batch = True


def interrupt_as_ever() -> None:
    """Schedule this thread as usual again: it comes back with locks in hand."""
    if _is_batch:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
