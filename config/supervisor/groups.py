"""Process groups: everything that one program of ours has started, even after the program itself died."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

import psutil

_POLL_SECONDS = 0.05


def members(group: int) -> list[int]:
    """The ids of the living processes of a group."""
    return [process.pid for process in psutil.process_iter() if _is_member(process, group)]


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to all of a group; none there is fine."""
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def end_groups(groups: list[int], seconds_max: float) -> None:
    """Ask all processes of the groups to stop, wait, and kill what is left."""
    for group in groups:
        signal_group(group, signal.SIGTERM)
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline and any(members(group) for group in groups):
        time.sleep(_POLL_SECONDS)
    for group in groups:
        signal_group(group, signal.SIGKILL)


def _is_member(process: psutil.Process, group: int) -> bool:
    try:
        return os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
    except (ProcessLookupError, PermissionError, psutil.Error):
        return False
