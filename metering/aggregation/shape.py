"""Checks of the shape of a document, each raising InvalidRequest with the path of what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.errors import InvalidRequest


def check_object(value: Any, param: str, fields: frozenset[str] | None = None) -> Mapping[str, Any]:
    """`value` as an object, which has none but `fields` when they are given."""
    if not isinstance(value, Mapping):
        raise InvalidRequest("invalid_type", "Give an object here.", param or None)
    for name in value if fields is not None else ():
        if fields is not None and name not in fields:
            known = ", ".join(sorted(fields)) or "nothing"
            raise InvalidRequest("unknown_field", f"Only {known} may stand here.", below(param, str(name)))
    return value


def check_list(value: Any, param: str) -> list[Any]:
    """`value` as a list; null is the empty one."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidRequest("invalid_type", "Give a list here.", param)
    return value


def required(document: Mapping[str, Any], name: str, param: str = "") -> Any:
    """The field `name` of the object at `param`; missing and null are errors."""
    value = document.get(name)
    if value is None:
        raise InvalidRequest("missing_field", f"{name} is missing.", below(param, name))
    return value


def required_text(document: Mapping[str, Any], name: str, param: str = "") -> str:
    """The field `name` of the object at `param`, a text that is not blank."""
    value = required(document, name, param)
    if not isinstance(value, str) or not value.strip():
        raise InvalidRequest("invalid_type", f"{name} is a text and not empty.", below(param, name))
    return value


def below(param: str, name: str) -> str:
    """The path of `name` inside `param`."""
    return f"{param}.{name}" if param else name
