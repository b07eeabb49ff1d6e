"""Reading a meter's definition from the dict that plan files, the API and `manage.py aggregate` share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidRequest
from metering.aggregation.base import Reads
from metering.aggregation.definition import MeterDefinition
from metering.aggregation.filters import OPS, Condition
from metering.aggregation.kinds import AGGREGATIONS
from metering.aggregation.shape import check_list, check_object, required_text
from metering.aggregation.values import decimal_of

_FIELDS: Final = frozenset(
    # What the meter is called travels with it in plan files and changes nothing that it counts.
    {
        "event",
        "aggregation",
        "property",
        "filter",
        "group_by",
        "unit",
        "carry_over",
        "key",
        "name",
        "description",
    }
)
_CONDITION_FIELDS: Final = frozenset({"property", "op", "value"})


def parse_meter(document: Any) -> MeterDefinition:
    """The definition that a dict such as RATING.md section 5 shows stands for.

    Raises InvalidRequest with the path of the offending value in `param`, e.g. `filter[0].op`.
    """
    check_object(document, "", _FIELDS)
    aggregation = required_text(document, "aggregation")
    if aggregation not in AGGREGATIONS:
        raise InvalidRequest("invalid_value", f"One of {', '.join(AGGREGATIONS)}.", "aggregation")
    carry_over = False if document.get("carry_over") is None else document["carry_over"]
    if not isinstance(carry_over, bool) or (carry_over and aggregation != "weighted_sum"):
        raise InvalidRequest(
            "invalid_value", "carry_over is true or false, and for weighted_sum only.", "carry_over"
        )
    reads_nothing = AGGREGATIONS[aggregation].reads is Reads.NOTHING
    return MeterDefinition(
        event=required_text(document, "event"),
        aggregation=aggregation,
        property=None if reads_nothing else _path(document),
        conditions=parse_filter(document.get("filter")),
        group_by=_parse_group_by(document.get("group_by")),
        unit=None if document.get("unit") in (None, "") else required_text(document, "unit"),
        carry_over=carry_over,
    )


def parse_filter(document: Any, param: str = "filter") -> tuple[Condition, ...]:
    """The conditions of a filter (a list of `{"property", "op", "value"}`, joined by AND; null = none).

    Raises InvalidRequest with a path below `param`.
    """
    conditions = []
    for index, item in enumerate(check_list(document, param)):
        try:
            conditions.append(_parse_condition(item))
        except InvalidRequest as error:
            raise error.within(f"{param}[{index}]") from None
    return tuple(conditions)


def _parse_condition(document: Any) -> Condition:
    check_object(document, "", _CONDITION_FIELDS)
    path, op = _path(document), required_text(document, "op")
    if op not in OPS:
        raise InvalidRequest("invalid_value", f"One of {', '.join(OPS)}.", "op")
    value = document.get("value")
    if op == "exists":
        if value is not None and not isinstance(value, bool):
            raise InvalidRequest("invalid_value", "exists takes true (the default) or false.", "value")
    elif op in ("in", "not_in"):
        if not isinstance(value, list):
            raise InvalidRequest("invalid_value", f"{op} takes a list of values.", "value")
        for index, item in enumerate(value):
            _check_scalar(item, f"value[{index}]")
        value = tuple(value)
    else:
        _check_scalar(value, "value")
    condition = Condition(path, op, value)
    condition.compile()  # refuses what the op cannot compare with
    return condition


def _parse_group_by(document: Any) -> tuple[str, ...]:
    dimensions = check_list(document, "group_by")
    for index, dimension in enumerate(dimensions):
        param = f"group_by[{index}]"
        _check_path(dimension, param)
        if dimension in dimensions[:index]:
            raise InvalidRequest("invalid_value", f"{dimension!r} stands twice.", param)
    return tuple(dimensions)


def _path(document: Mapping[str, Any]) -> str:
    path = required_text(document, "property")
    _check_path(path, "property")
    return path


def _check_path(value: Any, param: str) -> None:
    if not isinstance(value, str) or not all(value.split(".")):
        raise InvalidRequest("invalid_value", "A property is named by a path such as usage.tokens.", param)


def _check_scalar(value: Any, param: str) -> None:
    if not isinstance(value, (str, bool)) and decimal_of(value) is None:
        raise InvalidRequest("invalid_value", "Compare with a text, a number or a boolean.", param)
