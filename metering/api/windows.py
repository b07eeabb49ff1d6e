"""The query parameters that all time series share."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from accounts.scoping import viewer_of
from core import clock
from core.api.filters import refuse_unknown
from core.errors import InvalidRequest
from core.instants import parse_instant
from metering.usage.questions import Scope, find_scope
from metering.usage.windows import Granularity, Window, make_window

SCOPE: Final = ("customer", "billing_entity", "workspace", "user", "api_key", "trace")
WINDOW: Final = ("from", "to", "granularity")
TEXT_LENGTH_MAX: Final = 255
TRACE_AGE_MAX: Final = timedelta(days=366)
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch

_SAYS: Final = {
    "customer": "A customer, by id or external id.",
    "billing_entity": "A payer, by id or external id.",
    "workspace": "A workspace, by id or external id.",
    "user": "Only calls of this user; read from events.",
    "api_key": "Only calls with this key (`key_...`); read from events.",
    "trace": "Only the events of this trace; read from events.",
    "from": "An instant, or a date (local midnight). Default: the month of `to`; for a trace a year.",
    "to": "The end, not included; default the end of this hour. Both are widened to whole hours.",
    "group_by": "Dimensions, separated by commas.",
}


def read_parameters(request: Request, also: Collection[str]) -> dict[str, str]:
    """The query parameters that are not empty; raises InvalidRequest for one that is not known here."""
    refuse_unknown(request, {*SCOPE, *WINDOW, *also})
    given = {name: str(value) for name, value in request.query_params.items() if value}
    for name, value in given.items():
        if name in SCOPE and len(value) > TEXT_LENGTH_MAX:
            raise InvalidRequest("invalid_length", f"{name} may have {TEXT_LENGTH_MAX} characters.", name)
    return given


def read_scope(request: Request, given: dict[str, str]) -> Scope:
    """Whose series; see `find_scope`."""
    return find_scope(viewer_of(request), **{name: given.get(name) for name in SCOPE})


def read_window(given: dict[str, str], scope: Scope) -> Window:
    """When; see `make_window`. A trace is looked for in the whole last year."""
    zone, now = scope.zone, clock.now()
    names = [str(granularity) for granularity in Granularity]
    wanted = given.get("granularity", Granularity.DAY)
    if wanted not in names:
        raise InvalidRequest("invalid_choice", f"granularity is one of {', '.join(names)}.", "granularity")
    start, end = _instant(given, "from", zone), _instant(given, "to", zone)
    if start is None and scope.trace is not None:
        start = (end or now) - TRACE_AGE_MAX
    return make_window(start, end, Granularity(wanted), zone, now)


def read_names(given: dict[str, str], name: str) -> list[str]:
    """A list of names separated by commas."""
    names = [part.strip() for part in given.get(name, "").split(",")]
    return [part for part in names if part]


def window_answer(window: Window, as_of: datetime) -> dict[str, object]:
    """What every answer says of its time: complete up to `as_of`."""
    return {
        "as_of": as_of,
        "from": window.start,
        "to": window.end,
        "granularity": str(window.granularity),
        "time_zone": window.zone.key,
    }


def series_parameters(*also: OpenApiParameter) -> list[OpenApiParameter]:
    """The parameters for OpenAPI."""
    shared = [OpenApiParameter(name, str, description=says) for name, says in _SAYS.items()]
    granularities = [str(granularity) for granularity in Granularity]
    return [*shared, OpenApiParameter("granularity", str, enum=granularities, default="day"), *also]


def _instant(given: dict[str, str], name: str, zone: ZoneInfo) -> datetime | None:
    text = given.get(name)
    if text is None:
        return None
    if _DATE(text):
        try:
            day = date.fromisoformat(text)
        except ValueError as error:
            raise InvalidRequest("invalid_instant", f"There is no day {text}.", name) from error
        if day.year < 2:  # midnight on some clocks would lie before the first year
            raise InvalidRequest("invalid_instant", f"There is no day {text}.", name)
        return datetime(day.year, day.month, day.day, tzinfo=zone)
    # In a URL a plus sign that was not escaped arrives as a space.
    return parse_instant(re.sub(r" (?=[0-9]{2}:?[0-9]{2}$)", "+", text), name)
