"""One program that is kept running."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from config.environment import BASE_DIR, VAR_DIR
from config.supervisor.groups import signal_group

LOG_DIR = VAR_DIR / "log"

_LOG_BYTES_MAX = 20 * 1024**2
_SHORT_LIFE_SECONDS = 5
_PAUSE_SECONDS_MAX = 30.0


class Child:
    """A program in a process group of its own, started again when it ends by itself."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self.log: Path = LOG_DIR / f"{name}.log"
        self.short_lives = 0
        """How many times in a row it ended within seconds of its start."""
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._next_start = 0.0

    @property
    def group(self) -> int | None:
        """Its process group, None before the first start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it; its words go to its log."""
        LOG_DIR.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES_MAX:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=BASE_DIR,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started = time.monotonic()

    def revive(self) -> str | None:
        """Start it again if it has ended, after a pause that grows; a line that says so, or None."""
        if self._process is None or self._process.poll() is None:
            return None
        if not self._next_start:
            return self._note_end()
        if time.monotonic() < self._next_start:
            return None
        self._next_start = 0.0
        self.start()
        return f"{self.name} started again"

    def last_words(self) -> str:
        """The last line of its log."""
        lines = self.log.read_bytes()[-4096:].decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def _note_end(self) -> str:
        if self._process is None:
            return ""
        signal_group(self._process.pid, signal.SIGKILL)  # what it may have left behind
        is_short = time.monotonic() - self._started < _SHORT_LIFE_SECONDS
        self.short_lives = self.short_lives + 1 if is_short else 0
        pause = min(0.5 * 2**self.short_lives, _PAUSE_SECONDS_MAX)
        self._next_start = time.monotonic() + pause
        return f"{self.name} ended ({_ending(self._process.returncode)}): {self.last_words()}"


def _ending(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
