"""When a request is sent again: only without a verdict, after a pause that grows, as late as was asked."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tollgate_client.errors import ApiError, TollgateError, Unavailable


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and when. Times are seconds.

    The pause before retry n is a random part, at least half, of `first * 2 ** (n - 1)`, at most `longest`.
    A `Retry-After` is always waited for; one beyond `patience` ends the retries at once.
    """

    times: int = 3
    first: float = 0.1
    longest: float = 5.0
    patience: float = 30.0
    chance: Callable[[], float] = random.random

    def pause(self, error: TollgateError, attempt: int) -> float | None:
        """Seconds to wait after attempt number `attempt` (from 1) failed; None = give up."""
        if attempt > self.times or not is_open(error):
            return None
        longest = min(self.longest, self.first * 2.0 ** (attempt - 1))
        pause = longest * (0.5 + self.chance() / 2)
        asked = error.retry_after if isinstance(error, Unavailable) else None
        if asked is None:
            return pause
        return None if asked > self.patience else max(asked, pause)


def is_open(error: TollgateError) -> bool:
    """Whether the same request may do better: there was no verdict, or the row was busy."""
    return isinstance(error, Unavailable) or (isinstance(error, ApiError) and error.code == "busy")


def seconds_in(header: str | None) -> float | None:
    """The seconds that a `Retry-After` header asks for; None without one that can be read."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
