"""Reading a document of `manage.py aggregate`: its meter, period and events, each key once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from core.errors import InvalidRequest
from core.instants import parse_instant
from core.numbers import ZERO
from metering.aggregation.definition import Dimensions, MeterDefinition
from metering.aggregation.parsing import parse_meter
from metering.aggregation.paths import Properties
from metering.aggregation.shape import check_list, check_object, required, required_text
from metering.aggregation.values import number_of, text_of
from metering.payload import differing_fields

_FIELDS: Final = frozenset({"meter", "period", "events", "initial"})


@dataclass(frozen=True, slots=True)
class Event:
    """What aggregation needs of an event."""

    name: str
    occurred_at: datetime
    properties: Properties


@dataclass(frozen=True, slots=True)
class Question:
    """A document, understood: the first event of every key in file order, and how many repeated one."""

    meter: MeterDefinition
    start: datetime
    end: datetime
    level: Decimal
    levels: dict[Dimensions, Decimal]
    events: list[Event]
    duplicates: int
    conflicts: int


def parse_document(document: Any) -> Question:
    """Understand a document; raises InvalidRequest with the path of the offending value in `param`."""
    check_object(document, "", _FIELDS)
    definition = required(document, "meter")
    try:
        meter = parse_meter(definition)
    except InvalidRequest as error:
        raise error.within("meter") from None
    period = required(document, "period")
    check_object(period, "period", frozenset({"start", "end"}))
    start = parse_instant(required(period, "start", "period"), "period.start")
    end = parse_instant(required(period, "end", "period"), "period.end")
    if end <= start:
        raise InvalidRequest("invalid_period", "A period ends after it starts.", "period.end")
    events, duplicates, conflicts = _first_of_each_key(check_list(required(document, "events"), "events"))
    level, levels = _parse_initial(meter, document.get("initial"))
    return Question(meter, start, end, level, levels, events, duplicates, conflicts)


def _first_of_each_key(items: list[Any]) -> tuple[list[Event], int, int]:
    """The first event of every key; (events, duplicates, conflicts). A key counts once whatever its event is
    called and whenever it occurred, because keys know neither names nor periods."""
    events: list[Event] = []
    first_by_key: dict[str, Mapping[str, Any]] = {}
    duplicates = conflicts = 0
    for index, item in enumerate(items):
        param = f"events[{index}]"
        event = _parse_event(item, param)
        first = first_by_key.get(item["idempotency_key"])
        if first is None:
            first_by_key[item["idempotency_key"]] = item
            events.append(event)
        elif differing_fields(first, item):
            conflicts += 1
        else:
            duplicates += 1
    return events, duplicates, conflicts


def _parse_event(item: Any, param: str) -> Event:
    check_object(item, param)
    required_text(item, "idempotency_key", param)
    name = required_text(item, "event", param)
    instant = required(item, "occurred_at", param)
    properties = {} if item.get("properties") is None else item["properties"]
    check_object(properties, f"{param}.properties")
    return Event(name, parse_instant(instant, f"{param}.occurred_at"), properties)


def _parse_initial(meter: MeterDefinition, initial: Any) -> tuple[Decimal, dict[Dimensions, Decimal]]:
    """What is carried in: a level for every group, or a list of `{"dimensions", "value"}` for some."""
    if initial is None:
        return ZERO, {}
    if not isinstance(initial, list):
        return _level(initial, "initial"), {}
    levels: dict[Dimensions, Decimal] = {}
    for index, item in enumerate(initial):
        param = f"initial[{index}]"
        check_object(item, param, frozenset({"dimensions", "value"}))
        dimensions = {} if item.get("dimensions") is None else item["dimensions"]
        check_object(dimensions, f"{param}.dimensions", frozenset(meter.group_by))
        group = tuple(text_of(dimensions.get(name)) for name in meter.group_by)
        if group in levels:
            raise InvalidRequest("invalid_value", "This group has a level already.", param)
        levels[group] = _level(item.get("value"), f"{param}.value")
    return ZERO, levels


def _level(value: Any, param: str) -> Decimal:
    level = number_of(value)
    if level is None:
        raise InvalidRequest(
            "invalid_value", "A level is a number of at most 20 digits and 12 decimals.", param
        )
    return level
