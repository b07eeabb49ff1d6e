"""The import itself: rows to events, events to the path of a charge, in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Final

from billing.charging import Authorized, Denied, Failed, Outcome, Quarantined, report_events
from billing.imports.mapping import RowMapping
from billing.imports.rows import Row
from core import clock
from core.errors import TollgateError
from metering.events import EventInput, parse_event

BATCH: Final = 1000


@dataclass(frozen=True, slots=True)
class NotTaken:
    """A row that brought nothing: its line, and why. Quarantined ones wait for staff, the rest is nowhere."""

    line: int
    reason: str


@dataclass(slots=True)
class ImportReport:
    """How many rows were read, and what became of them. `known`: taken before, and nothing changed now."""

    read: int = 0
    taken: int = 0
    known: int = 0
    quarantined: int = 0
    rejected: int = 0
    unmatched: int = 0
    unpriced: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


def import_usage(
    rows: Iterable[Row],
    mapping: RowMapping,
    *,
    on_not_taken: Callable[[NotTaken], None],
    on_batch: Callable[[ImportReport], None] = lambda report: None,
    batch: int = BATCH,
) -> ImportReport:
    """Report every row as usage that has happened, however old; each batch is a transaction of its own.

    Safe to run again, and to go on after it was stopped: what is known already counts once. `on_not_taken` is
    told of each row that brought nothing, in order; `on_batch` of the figures so far.
    """
    report = ImportReport()
    source = iter(rows)
    while chunk := list(islice(source, batch)):
        for refusal in _import_batch(chunk, mapping, report):
            report.reasons[refusal.reason] += 1
            on_not_taken(refusal)
        on_batch(report)
    return report


def _import_batch(rows: list[Row], mapping: RowMapping, report: ImportReport) -> list[NotTaken]:
    report.read += len(rows)
    events: list[tuple[int, EventInput]] = []
    refused: list[NotTaken] = []
    now = clock.now()
    for row in rows:
        try:
            events.append((row.line, _event_of(row, mapping, now)))
        except TollgateError as error:
            report.rejected += 1
            refused.append(NotTaken(row.line, error.message))
    outcomes = report_events([event for _, event in events], source="import", is_any_age=True)
    refused += _count(events, outcomes, report)
    return sorted(refused, key=lambda refusal: refusal.line)


def _event_of(row: Row, mapping: RowMapping, now: datetime) -> EventInput:
    if row.problem is not None:
        raise TollgateError("invalid_row", row.problem)
    return parse_event(mapping.event_of(row), now)


def _count(
    events: list[tuple[int, EventInput]], outcomes: list[Outcome], report: ImportReport
) -> Iterator[NotTaken]:
    for (line, _), outcome in zip(events, outcomes, strict=True):
        if isinstance(outcome, Quarantined):
            report.quarantined += 1
            yield NotTaken(line, f"in quarantine: {outcome.message}")
        elif isinstance(outcome, Failed):
            report.rejected += 1
            yield NotTaken(line, outcome.error.message)
        elif isinstance(outcome, Denied | Authorized):
            raise AssertionError("reported usage is never denied")
        elif outcome.is_replay:
            report.known += 1
        else:
            report.taken += 1
            report.unmatched += outcome.unmatched
            report.unpriced += outcome.unpriced
