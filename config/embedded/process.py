"""A server's process: started apart from whoever starts it, waited for, and heard when it fails."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from config.embedded.errors import ServerError, reason
from core.scheduling import starting_a_program

_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class ServerProcess:
    """A process just started, writing to `log` from `log_offset` (bytes) on."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    log_offset: int

    def is_alive(self) -> bool:
        """Whether it still runs; asking also clears it away when it has ended."""
        return self.process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool], seconds_max: float) -> None:
        """Return when `is_ready()`; ServerError with its last words when it ends or takes too long."""
        wait_until(lambda: is_ready() or not self.is_alive(), seconds_max, f"{self.name} is not ready")
        if not self.is_alive():
            words = self.log.read_bytes()[self.log_offset :].decode(errors="replace")
            raise ServerError(reason(f"{self.name} did not start", words))


def launch(name: str, command: list[str], folder: Path, log: Path) -> ServerProcess:
    """Start `command` in `folder`, in a session of its own so that Ctrl-C does not reach it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, starting_a_program():
        offset = output.tell()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return ServerProcess(name, process, log, offset)


def wait_until(is_done: Callable[[], bool], seconds_max: float, failure: str) -> None:
    """Return when `is_done()`; ServerError with `failure` after `seconds_max`."""
    deadline = time.monotonic() + seconds_max
    while not is_done():
        if time.monotonic() > deadline:
            raise ServerError(f"{failure} after {seconds_max:.0f} seconds.")
        time.sleep(_POLL_SECONDS)


def server_environment() -> dict[str, str]:
    """The environment of a server: none of ours, so that it starts the same from everywhere."""
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}
