"""Two payloads under one idempotency key: the same request again, or another one?

Numbers compare by value (1, 1.0 and 1.00 are one), texts exactly, objects key by key, lists in order. A
field that is absent or null on one side does not differ: a newer client may say more about the same thing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def differing_fields(first: Any, second: Any) -> list[str]:
    """The paths at which two JSON payloads differ, such as `address.city`; empty for the same request."""
    differing: list[str] = []
    _compare(first, second, "", differing)
    return differing


def _compare(first: Any, second: Any, path: str, differing: list[str]) -> None:
    if first is None or second is None:
        return
    if isinstance(first, dict) and isinstance(second, dict):
        for key in sorted(first.keys() & second.keys()):
            _compare(first[key], second[key], f"{path}.{key}" if path else str(key), differing)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (left, right) in enumerate(zip(first, second, strict=True)):
            _compare(left, right, f"{path}[{index}]", differing)
    elif not _is_same_leaf(first, second):
        differing.append(path)


def _is_same_leaf(first: Any, second: Any) -> bool:
    if _is_number(first) and _is_number(second):
        return _number(first) == _number(second)
    return type(first) is type(second) and bool(first == second)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number(value: float | Decimal) -> Decimal:
    """Through `str`: a float read back from JSON stands for the digits it was written with."""
    return value if isinstance(value, Decimal) else Decimal(str(value))
