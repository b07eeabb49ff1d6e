"""One Tollgate per folder: the lock of the one that runs, and what a killed one has left behind."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from django.core.management import CommandError

from config.supervisor.groups import end_groups, members

_SECONDS_MAX = 10


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder; CommandError when a Tollgate runs there already."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "up.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError("Tollgate runs in this folder already; stop that one first.") from None
        yield


def remember(folder: Path, groups: list[int]) -> None:
    """Write down the process groups, so that they can be ended if this process is killed."""
    found = [(group, psutil.Process(group).create_time()) for group in groups if psutil.pid_exists(group)]
    (folder / "up.json").write_text(json.dumps(found))


def end_leftovers(folder: Path) -> int:
    """End what an earlier Tollgate left running when it was killed; how many process groups that were."""
    try:
        remembered = json.loads((folder / "up.json").read_text())
        groups = [group for group, started in remembered if _is_ours(group, started)]
    except (OSError, ValueError, TypeError):
        return 0
    end_groups(groups, _SECONDS_MAX)
    forget(folder)
    return len(groups)


def forget(folder: Path) -> None:
    """Nothing runs any more."""
    (folder / "up.json").unlink(missing_ok=True)


def _is_ours(group: int, started: float) -> bool:
    """A process id may have been given anew, but never while members of its group live."""
    with suppress(psutil.Error):
        return psutil.Process(group).create_time() == started
    return bool(members(group))
