"""What a call that has to look at everything costs beside a plain one: `python -m benchmarks.phases_full`.

As `benchmarks.phases`, in batches of 32: processor time of one thread and of its database session, both kinds
of calls in turn, medians of ROUNDS rounds.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402

from benchmarks.charge_full import costed_event, full_event  # noqa: E402
from benchmarks.installation import Installation  # noqa: E402
from benchmarks.phases_inside import database_time  # noqa: E402
from benchmarks.stopwatch import Stopwatch  # noqa: E402
from billing.charging import booking, path  # noqa: E402
from billing.charging.requests import ChargeRequest, Mode  # noqa: E402
from core import clock  # noqa: E402
from core.jsonio import decode_json  # noqa: E402
from metering.events import parse_event  # noqa: E402

PAYERS: Final = 400
ROUNDS: Final = 9
BATCHES: Final = 20
SIZE: Final = 32
PHASES: Final = (
    (path, "plan_requests", "plan"),
    (path, "lock_and_read", "begin, lock, read"),
    (path, "_decide_and_write", "decide, book"),
    (booking, "copy_many", "write"),
    (path, "write_batch", "write"),
    (transaction.Atomic, "__enter__", "begin"),
    (transaction.Atomic, "__exit__", "commit"),
)
Call = Callable[[str], bytes]


def main() -> None:
    """Make an installation, fill it with payers of both kinds, measure inside it."""
    with tempfile.TemporaryDirectory(prefix="tollgate-full-") as folder, Installation(Path(folder)) as made:
        plain = json.loads(made.run_module("benchmarks.world", str(PAYERS)))["workspaces"]
        full = json.loads(made.run_module("benchmarks.full_world", str(PAYERS)))
        print(made.run_module("benchmarks.phases_full", json.dumps([plain, full])), end="")


def measure(plain: Sequence[str], full: Sequence[str]) -> None:
    """Let every payer be met, then measure both kinds in turn."""
    watch = Stopwatch()
    for owner, function, name in PHASES:
        watch.wrap(owner, function, name)
    kinds: dict[str, tuple[Call, Sequence[str]]] = {
        "plain": (costed_event, plain),
        "full": (full_event, full),
    }
    for call, workspaces in kinds.values():
        path.charge_many([_request(call, workspace) for workspace in [*workspaces] * 3])
    connection.cursor().execute("VACUUM ANALYZE")
    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(ROUNDS):
        for side, now in (("here", time.thread_time_ns), ("database", database_time)):
            for kind, (call, workspaces) in kinds.items():
                spent = found.setdefault(f"{kind} {side}", {})
                for name, took in _round(watch, call, workspaces, now).items():
                    spent.setdefault(name, []).append(took)
    _show(found)


def _round(
    watch: Stopwatch, call: Call, workspaces: Sequence[str], now: Callable[[], int]
) -> dict[str, float]:
    """Microseconds of each phase, and of all, for one call."""
    batches = [
        list(enumerate(_request(call, workspace) for workspace in random.sample(workspaces, SIZE)))
        for _ in range(BATCHES)
    ]
    watch.spent.clear()
    watch.now = now
    for numbered in batches:
        with watch.phase("other"):
            path.charge_batch(numbered, skip_locked=True)
    times = {name: spent / 1000 / SIZE / BATCHES for name, spent in watch.spent.items()}
    return times | {"all": sum(times.values())}


def _show(found: dict[str, dict[str, list[float]]]) -> None:
    columns = ("plain here", "full here", "plain database", "full database")
    print(f"batches of {SIZE}; microseconds a call {''.join(f'{name:>16}' for name in columns)}")
    for phase in found["full here"]:
        shown = [median(found[column].get(phase, [0])) for column in columns]
        print(f"{phase:36}{''.join(f'{value:16.1f}' for value in shown)}")
    plain, full = (
        median(found[f"{kind} here"]["all"]) + median(found[f"{kind} database"]["all"])
        for kind in ("plain", "full")
    )
    print(f"together: plain {plain:.0f}, full {full:.0f}, difference {full - plain:.0f}")


def _request(call: Call, workspace: str) -> ChargeRequest:
    raw: Any = decode_json(call(workspace))
    return ChargeRequest(parse_event(raw, clock.now()), Mode.ASK)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(*json.loads(sys.argv[1]))
    else:
        main()
