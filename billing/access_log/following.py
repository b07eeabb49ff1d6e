"""Staying with a log: read what there is, wait a moment, read on, until somebody says to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from django.db import DatabaseError

from billing.access_log.ingesting import Ingester, IngestReport
from core.database_errors import Unavailable

PAUSE_SECONDS: Final = 0.5
AWAY_SECONDS: Final = 2.0
"""How long to wait for a database that is away. The log waits, too."""


def follow(
    ingester: Ingester,
    *,
    stops: Callable[[], bool],
    on_away: Callable[[Exception], None],
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[IngestReport]:
    """A report for each time that something was read, until `stops()`.

    While the database is away nothing is read and nothing is lost; `on_away` is told each time.
    """
    while not stops():
        try:
            report = ingester.run()
        except (DatabaseError, Unavailable) as error:
            on_away(error)
            sleep(AWAY_SECONDS)
            continue
        if report.counts["lines"] or report.broken:
            yield report
        else:
            sleep(PAUSE_SECONDS)
