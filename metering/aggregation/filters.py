"""Conditions on an event's properties, joined by AND.

A property that is missing or null makes `eq in gt gte lt lte contains` false and
`ne not_in not_contains` true.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from operator import ge, gt, le, lt
from typing import Any, Final

from core.errors import InvalidRequest
from metering.aggregation.paths import Properties, Reader, compile_path
from metering.aggregation.values import decimal_of, text_of

Predicate = Callable[[Properties], bool]
Test = Callable[[Any], bool]

_ORDERINGS: Final[dict[str, Callable[[Decimal, Decimal], bool]]] = {"gt": gt, "gte": ge, "lt": lt, "lte": le}
_NEGATIONS: Final = {"ne": "eq", "not_in": "in", "not_contains": "contains"}
OPS: Final = ("eq", "ne", "in", "not_in", *_ORDERINGS, "exists", "contains", "not_contains")


@dataclass(frozen=True, slots=True)
class Condition:
    """One comparison of the property at a dotted path by one of OPS; `value` is a tuple for in, not_in."""

    property: str
    op: str
    value: Any = None

    def compile(self) -> Predicate:
        """The condition as a function of an event's properties; raises InvalidRequest for an unfit value."""
        read = compile_path(self.property)
        test = _compile_test(_NEGATIONS.get(self.op, self.op), self.value)
        if self.op in _NEGATIONS:
            return lambda properties: not test(read(properties))
        return _both(read, test)


def join_all(conditions: tuple[Condition, ...]) -> Predicate | None:
    """One predicate for all conditions; None when there are none, so that a caller can skip the call."""
    predicates = tuple(condition.compile() for condition in conditions)
    if len(predicates) <= 1:
        return predicates[0] if predicates else None
    return lambda properties: all(predicate(properties) for predicate in predicates)


def _both(read: Reader, test: Test) -> Predicate:
    return lambda properties: test(read(properties))


def _compile_test(op: str, value: Any) -> Test:
    if op == "exists":
        wanted = value is not False
        return lambda found: (found is not None) is wanted
    if op == "in":
        return _any_of(value)
    if op == "contains":
        return _contains(value)
    if op == "eq":
        return _any_of((value,))
    return _ordered(_ORDERINGS[op], value)


def _any_of(wanted: tuple[Any, ...]) -> Test:
    """Equality with one of `wanted`: by value where either side is a JSON number, else by text.

    "01" is not "1", but both are 1; true is "true" and never 1.
    """
    texts = {text_of(item) for item in wanted if isinstance(item, (str, bool))}
    numbers = {number for item in wanted if (number := decimal_of(item)) is not None}
    literals = {
        number for item in wanted if not isinstance(item, str) and (number := decimal_of(item)) is not None
    }

    def test(found: Any) -> bool:
        if isinstance(found, str):
            return found in texts or (bool(literals) and decimal_of(found) in literals)
        if isinstance(found, bool):
            return text_of(found) in texts
        return bool(numbers) and decimal_of(found) in numbers

    return test


def _ordered(compare: Callable[[Decimal, Decimal], bool], bound: Any) -> Test:
    limit = decimal_of(bound)
    if limit is None:
        raise InvalidRequest(
            "invalid_value", "Compare with a number: gt, gte, lt and lte order numbers.", "value"
        )

    def test(found: Any) -> bool:
        number = decimal_of(found)
        return number is not None and compare(number, limit)

    return test


def _contains(wanted: Any) -> Test:
    part = text_of(wanted) or ""
    is_element = _any_of((wanted,))

    def test(found: Any) -> bool:
        if isinstance(found, str):
            return part in found
        return isinstance(found, list) and any(is_element(element) for element in found)

    return test
