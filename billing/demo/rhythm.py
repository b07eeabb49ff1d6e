"""When calls happen: more on working days, in working hours, and from month to month. Pure, in integers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final
from zoneinfo import ZoneInfo

from billing.demo.cast import Actor

_WEEKDAYS: Final = (118, 124, 126, 122, 112, 54, 44)
"""Monday to Sunday, per cent of an average day."""
_HOURS: Final = (2, 1, 1, 1, 2, 4, 9, 18, 34, 46, 50, 48, 40, 47, 52, 50, 44, 34, 22, 15, 12, 9, 6, 4)


def calls_on(actor: Actor, index: int, days: int, day: date, per_day: int, dice: Random) -> int:
    """How many calls an actor makes on the day `index` of `days`, of `per_day` of all actors on average."""
    if index < days - actor.months * days // 6:
        return 0
    grown = (100 * days + actor.growth * index) * 1000 // (100 * days + actor.growth * days // 2)
    jitter = dice.randrange(85, 116)
    return per_day * actor.volume * _WEEKDAYS[day.weekday()] * grown * jitter // (1000 * 100 * 1000 * 100)


def instants_of(actor: Actor, day: date, count: int, dice: Random) -> list[datetime]:
    """When `count` calls happen on a UTC day, in order; the hours follow the actor's own clock."""
    midnight = datetime.combine(day, time.min, UTC)
    offset = midnight.astimezone(ZoneInfo(actor.time_zone)).utcoffset() or timedelta()
    ahead = offset // timedelta(hours=1)
    hours = dice.choices(range(24), weights=_HOURS, k=count)
    return sorted(
        midnight
        + timedelta(
            hours=(hour - ahead) % 24, seconds=dice.randrange(3600), milliseconds=dice.randrange(1000)
        )
        for hour in hours
    )
