"""Keeps Tollgate's processes running until somebody says stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from urllib.request import urlopen

from django.core.management import CommandError

from config.supervisor.children import Child
from config.supervisor.groups import end_groups
from config.supervisor.instance import forget, remember
from config.supervisor.servers import revive_servers

_ROUND_SECONDS = 0.5
_STOP_SECONDS = 12
_READY_SECONDS = 60
_SHORT_LIVES_MAX = 5


class Supervisor:
    """Runs `children`; tells `say` what happens to them."""

    def __init__(self, children: list[Child], folder: Path, say: Callable[[str], None]) -> None:
        self._children = children
        self._folder = folder
        self._say = say

    def start(self) -> None:
        """Start all children."""
        for child in self._children:
            child.start()
            self._remember()

    def wait_until_ready(self, url: str) -> None:
        """Return when the web server answers; CommandError when it does not come up."""
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            self._revive()
            if _answers(f"{url}/readyz"):
                return
            time.sleep(0.1)
        raise CommandError(f"The web server does not answer; see {self._children[0].log}.")

    def run(self) -> None:
        """Watch over the children and the embedded servers, for ever."""
        while True:
            time.sleep(_ROUND_SECONDS)
            for line in revive_servers():
                self._say(line)
            self._revive()

    def stop(self) -> None:
        """End all children and everything that they have started."""
        end_groups([child.group for child in self._children if child.group], _STOP_SECONDS)
        forget(self._folder)

    def _revive(self) -> None:
        for child in self._children:
            line = child.revive()
            if line is None:
                continue
            self._say(line)
            self._remember()
            if child.short_lives >= _SHORT_LIVES_MAX:
                raise CommandError(f"{child.name} does not stay up: {child.last_words()} (see {child.log})")

    def _remember(self) -> None:
        remember(self._folder, [child.group for child in self._children if child.group])


def _answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=2) as response:  # noqa: S310 - our own address
            return bool(response.status == 200)
    except OSError:
        return False
