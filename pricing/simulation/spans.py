"""When a version prices a subscription: stretches of its billing periods, cut to the window. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pricing.base_fees import Life
from pricing.cycles import Period


@dataclass(frozen=True, slots=True)
class Span:
    """`[start, end)` is rated as one segment, whose counters begin at zero; `whole` is its cycle's period.

    Of it the window takes `[since, until)`: what is charged there at the position that was reached before.
    """

    whole: Period
    start: datetime
    end: datetime
    since: datetime
    until: datetime

    @property
    def is_begun_before(self) -> bool:
        """Whether the window begins inside it."""
        return self.since > self.start

    @property
    def closes(self) -> bool:
        """Whether its end is in the window, so that it is settled there."""
        return self.until == self.end


def cut(whole: Period, start: datetime, end: datetime, window: Period) -> Span | None:
    """The span of a segment `[start, end)`; None when the window has nothing of it."""
    since, until = max(start, window.start), min(end, window.end)
    return Span(whole, start, end, since, until) if since < until else None


def spans_of(life: Life, window: Period) -> Iterator[Span]:
    """The spans of a life in the window, one for each period of its cycle; in order."""
    first = max(life.starts_at, window.start)
    last = window.end if life.ends_at is None else min(life.ends_at, window.end)
    for whole in life.cycle.periods_between(first, last):
        start = max(whole.start, life.starts_at)
        end = whole.end if life.ends_at is None else min(whole.end, life.ends_at)
        span = cut(whole, start, end, window)
        if span is not None:
            yield span
