"""Instants and spans as text. An instant is aware; a page shows it in the payer's zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta

from core.display.locale import DEFAULT

Precision = Literal["day", "minute", "second"]
_PATTERNS: Final[dict[Precision, str]] = {
    "day": "d MMM y",
    "minute": "d MMM y, HH:mm",
    "second": "d MMM y, HH:mm:ss",
}


def zone_of(name: str | tzinfo | None) -> tzinfo:
    """The zone of an IANA name; UTC for None and for a name this machine does not know."""
    if isinstance(name, tzinfo):
        return name
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def instant_text(
    at: datetime, zone: tzinfo, locale: Locale = DEFAULT, precision: Precision = "minute"
) -> str:
    """`23 Nov 2026, 14:05` in `zone`; the zone itself is named by `zone_name`."""
    return format_datetime(at.astimezone(zone), _PATTERNS[precision], locale=locale)


def zone_name(at: datetime, zone: tzinfo) -> str:
    """`CET`, `UTC` or, where the zone has no letters, `UTC+05:30`."""
    name = at.astimezone(zone).tzname() or "UTC"
    if name[0] not in "+-":
        return name
    hours, minutes = name[:3], name[3:] or "00"
    return f"UTC{hours}:{minutes}"


def utc_text(at: datetime) -> str:
    """`2026-11-23 13:05:07 UTC`, the same for every reader."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def day_text(day: date, locale: Locale = DEFAULT) -> str:
    """`23 Nov 2026`."""
    return format_date(day, _PATTERNS["day"], locale=locale)


def ago_text(at: datetime, now: datetime, locale: Locale = DEFAULT) -> str:
    """`3 minutes ago`, `in 2 days`, `just now` (under five seconds either way)."""
    span: timedelta = at - now
    if abs(span) < timedelta(seconds=5):
        return "just now"
    return format_timedelta(span, add_direction=True, threshold=1, locale=locale)
