"""Groups: the combinations of dimension values that are rated on their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from core.errors import InvalidRequest
from core.numbers import plain

Group = tuple[str | None, ...]
"""A group's dimension values as texts, in the order of the component's `group_dimensions`; null: missing."""

NO_GROUP: Final = "[]"
"""The text of the group of what is not grouped."""


def dimension_text(value: Any, param: str = "dimensions") -> str | None:
    """A dimension's value as text, so that 1 and "1" are one group; raises InvalidRequest for lists."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, (Decimal, float)):
        number = Decimal(repr(value)) if isinstance(value, float) else value
        if number.is_finite() and -100 < number.adjusted() < 100:
            return plain(number)
    elif isinstance(value, str):
        return str(value)
    raise InvalidRequest("invalid_type", f"{param} must be a text, a number, true, false or null.", param)


def group_of(dimensions: Mapping[str, Any], names: tuple[str, ...]) -> Group:
    """The group in which an event with these dimensions falls; a missing dimension counts as null."""
    return tuple([dimension_text(dimensions.get(name), f"dimensions.{name}") for name in names])


def group_text(group: Group) -> str:
    """The group as a canonical JSON array: the key under which its state is stored."""
    return json.dumps(group, ensure_ascii=False, separators=(",", ":")) if group else NO_GROUP


def sort_key(group: Group) -> tuple[tuple[bool, str], ...]:
    """Order of groups wherever they are listed: by value, null last."""
    return tuple((value is None, value or "") for value in group)
