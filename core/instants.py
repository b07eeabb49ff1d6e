"""Instants in text: RFC 3339 with an offset, kept in UTC to the microsecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from core.errors import InvalidRequest

_SHAPE = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(\.[0-9]{1,20})?"
    r"(?:([Zz])|([+-][0-9]{2}):?([0-9]{2}))"
).fullmatch
_MESSAGE = "An instant is RFC 3339 text with an offset, such as 2026-01-05T09:30:00Z."


def parse_instant(value: object, param: str | None = None) -> datetime:
    """The instant that a text such as `2026-01-05T10:30:00+01:00` names, aware, in UTC.

    Digits beyond the microsecond are cut off, never rounded: rounding could carry an instant over the end of
    its period. Raises InvalidRequest (`invalid_instant`) for anything else, and for a time without an offset:
    whose clock it was is not ours to guess.
    """
    if not isinstance(value, str) or (found := _SHAPE(value)) is None:
        raise InvalidRequest("invalid_instant", _MESSAGE, param)
    date, time, fraction, _, hours, minutes = found.groups()
    offset = "+00:00" if hours is None else f"{hours}:{minutes}"
    try:
        return datetime.fromisoformat(f"{date}T{time}{(fraction or '')[:7]}{offset}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest("invalid_instant", f"{_MESSAGE} There is no {value[:40]!r}.", param) from error


def instant_text(instant: datetime) -> str:
    """`instant` (aware) as UTC text: `2026-01-05T09:30:00Z`, with microseconds only where there are any."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
