"""Trying again what could not be settled: lines of an access log whose hold, key or price was not there yet.

A line is settled as when it was first read, under its request's own key: so it counts once, whoever tries it
and whatever counted meanwhile. What came of it is noted after it has counted; a crash between the two shows
at the next attempt, which finds it known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from django.db import transaction
from django.db.models import F, QuerySet

from billing.access_log.files import RawLine
from billing.access_log.settling import settle_lines
from billing.models import AccessLog, UnreadLine
from billing.models.access_logs import COUNTS
from core import clock

CHUNK: Final = 200


@dataclass(slots=True)
class Retried:
    """What became of the lines, by the names of `AccessLog`'s counts; `problems`: why some wait on."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: Counter[str] = field(default_factory=Counter)

    @property
    def settled(self) -> int:
        """How many do not wait any more."""
        return self.counts.total() - self.counts["unread"]


def waiting_lines() -> QuerySet[UnreadLine]:
    """The lines that have not been settled yet, the oldest first."""
    return UnreadLine.objects.filter(settled_at=None).order_by("pk")


def retry_lines(lines: QuerySet[UnreadLine], *, by: str = "") -> Retried:
    """Try these lines again, each on its own; those that are settled already are passed over.

    Raises Unavailable when the database is away: then some may have counted, and the next attempt finds them.
    """
    retried = Retried()
    for line in _chunks(lines.filter(settled_at=None)):
        outcome, problem = _settle(line)
        if _note(line, outcome, problem, by):
            retried.counts[outcome] += 1
            if problem:
                retried.problems[problem] += 1
    return retried


def _chunks(lines: QuerySet[UnreadLine]) -> Iterable[UnreadLine]:
    after = 0
    while chunk := list(lines.filter(pk__gt=after).order_by("pk")[:CHUNK]):
        yield from chunk
        after = chunk[-1].pk


def _settle(line: UnreadLine) -> tuple[str, str]:
    """What became of a line, and the problem where it is still unread."""
    raw = RawLine(line.offset, line.offset, line.text.encode(), caller=line.caller)
    counts, unread = settle_lines([raw], line.free_from)
    if unread:
        return "unread", unread[0].problem
    return next(name for name in COUNTS[1:] if counts[name]), ""


def _note(line: UnreadLine, outcome: str, problem: str, by: str) -> bool:
    """Note an attempt, unless another has settled the line meanwhile; the log's counts move with it."""
    now = clock.now()
    with transaction.atomic():
        row = UnreadLine.objects.filter(pk=line.pk, settled_at=None)
        if outcome == "unread":
            return bool(row.update(tried_at=now, problem=problem))
        if not row.update(tried_at=now, settled_at=now, settled_by=by, outcome=outcome):
            return False
        log = AccessLog.objects.filter(pk=line.log_id)
        log.update(unread=F("unread") - 1, **{outcome: F(outcome) + 1})
        return True
