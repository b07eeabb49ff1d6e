"""The measuring part of `benchmarks.phases`, inside the installation that it made: CALLERS as JSON."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection, transaction  # noqa: E402

from benchmarks.calls import Callers, batch, event  # noqa: E402
from benchmarks.stopwatch import Stopwatch  # noqa: E402
from billing.api import charges, events  # noqa: E402
from billing.charging import booking, deciding, path, straight  # noqa: E402
from billing.charging.requests import ChargeRequest, Mode  # noqa: E402
from config.wsgi import application  # noqa: E402
from core import clock  # noqa: E402
from core.jsonio import decode_json  # noqa: E402
from metering.events import parse_event  # noqa: E402

BATCHES: Final = {1: 400, 4: 150, 8: 100, 32: 40, 1000: 5}
"""Requests in a transaction -> how many transactions."""
PHASES: Final = (
    (path, "plan_requests", "plan"),
    (path, "lock_and_read", "begin, lock, read"),
    (path, "_decide_and_write", "decide, book"),
    (deciding, "rate_event", "rate"),
    (deciding, "rate_alone", "rate"),
    (straight, "rate_alone", "rate"),
    (booking, "copy_many", "write: COPY"),
    (path, "write_batch", "write: INSERT and upserts"),
    (transaction.Atomic, "__enter__", "begin"),
    (transaction.Atomic, "__exit__", "commit"),
)
"""(module, function that it calls, name of the phase); what a phase calls counts in the inner one."""


def main(callers: Callers) -> None:
    """Warm up, then measure each size of batch, then the views around it."""
    watch = Stopwatch()
    for owner, function, name in PHASES:
        watch.wrap(owner, function, name)
    path.charge_many([_request(callers, Mode.REPORT) for _ in range(5000)])
    connection.cursor().execute("VACUUM ANALYZE")
    for size, times in BATCHES.items():
        mode = Mode.ASK if size < 1000 else Mode.REPORT
        print(f"\n{size} {mode.value} in a transaction; microseconds per event: here, database")
        ours = _measure(watch, callers, size, times, mode, time.thread_time_ns)
        database = _measure(watch, callers, size, times, mode, database_time)
        for name in ours:
            print(f"  {name:36}{ours[name]:8.1f}{database[name]:8.1f}")
        print(f"  {'all':36}{sum(ours.values()):8.1f}{sum(database.values()):8.1f}")
    _measure_views(callers)


def _measure(
    watch: Stopwatch, callers: Callers, size: int, times: int, mode: Mode, now: Any
) -> dict[str, float]:
    batches = [
        list(enumerate(_request(callers, mode, workspace) for workspace in _some(callers, size)))
        for _ in range(times)
    ]
    watch.spent.clear()
    watch.now = now
    for numbered in batches:
        with watch.phase("other"):
            path.charge_batch(numbered, skip_locked=size < 1000)
    return {name: spent / 1000 / size / times for name, spent in watch.spent.items()}


def _measure_views(callers: Callers) -> None:
    watch = Stopwatch()
    watch.wrap(charges, "parse_event", "parse")
    watch.wrap(charges, "charge_one", "charge_one")
    watch.wrap(events, "parse_events", "parse")
    watch.wrap(events, "report_together", "report_together")
    watch.now = time.thread_time_ns
    for where, size, times in (("/v1/charges", 1, 400), ("/v1/events", 1000, 5)):
        watch.spent.clear()
        bodies = [[event(workspace) for workspace in _some(callers, size)] for _ in range(times)]
        for body in bodies:
            environ = _environ(where, callers.secret, body[0] if size == 1 else batch(body))
            with watch.phase("application, view, JSON"):
                answer = application(environ, _start)
                b"".join(answer)
                getattr(answer, "close", int)()
        print(f"\nPOST {where}, {size} a request, without the server; microseconds per event")
        for name, spent in watch.spent.items():
            print(f"  {name:36}{spent / 1000 / size / times:8.1f}")


def _request(callers: Callers, mode: Mode, workspace: str | None = None) -> ChargeRequest:
    raw = decode_json(event(workspace or random.choice(callers.workspaces)))
    return ChargeRequest(parse_event(raw, clock.now()), mode)


def _some(callers: Callers, size: int) -> list[str]:
    if size < 1000:
        return random.sample(callers.workspaces, size)
    return random.choices(callers.workspaces, k=size)


def database_time() -> int:
    """Processor time of this thread's database session."""
    connection.ensure_connection()
    session = connection.connection.info.backend_pid
    return int(Path(f"/proc/{session}/schedstat").read_text().split()[0])


def _start(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
    """What a WSGI server does with a status is no part of this."""
    if not status.startswith("2"):
        raise RuntimeError(status)


def _environ(where: str, secret: str, body: bytes) -> dict[str, Any]:
    """A request as granian hands it over."""
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": where,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_HOST": "127.0.0.1:8000",
        "HTTP_AUTHORIZATION": f"Bearer {secret}",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }


if __name__ == "__main__":
    main(Callers(**json.loads(sys.argv[1])))
