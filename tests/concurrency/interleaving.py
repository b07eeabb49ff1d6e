"""Two transactions of the charge path brought to the same point: where a race would happen, if nothing
kept them apart."""

from __future__ import annotations

from collections.abc import Callable
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from billing import ledger
from billing.charging import path

WAIT_SECONDS = 1.5


class Meeting:
    """Holds transactions that have read what they need, until so many have; those that come alone go on."""

    def __init__(self, parties: int) -> None:
        self._barrier = Barrier(parties)
        self.has_happened = False

    def wait(self) -> None:
        try:
            self._barrier.wait(WAIT_SECONDS)
            self.has_happened = True
        except BrokenBarrierError:
            pass


def meet_after_reading(monkeypatch: pytest.MonkeyPatch, parties: int = 2) -> Meeting:
    """Let transactions meet after they have locked and read, before they decide and write."""
    meeting = Meeting(parties)
    decide: Callable[..., Any] = path._decide_and_write

    def wait_and_decide(*arguments: Any) -> Any:
        meeting.wait()
        return decide(*arguments)

    monkeypatch.setattr(path, "_decide_and_write", wait_and_decide)
    return meeting


def take_the_lock_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the charge path read wallets without locking them."""
    unlocked = ledger.LOCK.replace("FOR UPDATE OF a", "")
    assert unlocked != ledger.LOCK
    monkeypatch.setattr(ledger, "LOCK", unlocked)
