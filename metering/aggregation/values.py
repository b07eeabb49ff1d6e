"""What the values in an event's properties mean: as a number, as a text, as a thing to compare.

Numbers compare by value whatever their notation (5, 5.0, 5e0); a boolean is never a number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from core.errors import InvalidRequest
from core.numbers import INTEGER_DIGITS_MAX, QUANTITY_DECIMALS_MAX, ZERO, fits, plain

_NUMERIC = re.compile(r"[ \t\r\n]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t\r\n]*").fullmatch
# What `number_text` would give again, as numbers in texts are mostly written.
_CANONICAL = re.compile(r"0|-?(?:[1-9][0-9]*(?:\.[0-9]*[1-9])?|0\.[0-9]*[1-9])").fullmatch
_MAY_BEGIN_A_NUMBER: Final = frozenset("0123456789+-. \t\r\n")
_TEXT_LENGTH_MAX: Final = 1000
_INT_LIMIT: Final = 10**INTEGER_DIGITS_MAX
_PLAIN_DIGITS_MAX: Final = 60
_DEPTH_MAX: Final = 64


def decimal_of(value: object) -> Decimal | None:
    """The finite number that a JSON value stands for, of any size; None when it stands for none.

    Numbers and numeric texts ("5", "-0.5", "1e3", " 5 ") are numbers; booleans, NaN, Infinity and the rest
    are not. A float is taken at its shortest text (0.1 is one tenth).
    """
    if type(value) is int:
        return Decimal(value)
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, str):
        return _decimal_in_text(value)
    if isinstance(value, float):
        return _decimal_in_text(repr(value))
    return None


def number_of(value: object) -> Decimal | None:
    """The quantity that a JSON value stands for; None when it is no number or out of a quantity's range.

    The range is that of RATING.md section 3: at most 20 integer digits and 12 decimals, by value.
    """
    if type(value) is int:
        return Decimal(value) if -_INT_LIMIT < value < _INT_LIMIT else None
    if type(value) is str and value.isdigit() and value.isascii() and len(value) <= INTEGER_DIGITS_MAX:
        return Decimal(value)
    number = decimal_of(value)
    if number is None:
        return None
    if not number:
        return ZERO
    return number if fits(number, QUANTITY_DECIMALS_MAX) else None


def number_text(number: Decimal) -> str:
    """One text for all notations of a finite number: plain up to 60 digits, else digits and exponent."""
    sign, digits, _ = number.as_tuple()
    exponent = int(number.as_tuple().exponent)
    if not number or (number.adjusted() < _PLAIN_DIGITS_MAX and exponent > -_PLAIN_DIGITS_MAX):
        return plain(number)
    letters = "".join(map(str, digits))
    stripped = letters.rstrip("0")
    return f"{'-' if sign else ''}{stripped}E{exponent + len(letters) - len(stripped)}"


def text_of(value: object) -> str | None:
    """The text of a JSON value, for `unique` and dimensions: 5 and 5.0 are "5", true is "true".

    None (missing) for null; lists and objects give compact JSON with sorted names. Raises InvalidRequest
    (`too_deep`) beyond 64 levels.
    """
    if value is None or type(value) is str:
        return value
    return value if isinstance(value, str) else _json_text(value, 0)


def _json_text(value: object, depth: int) -> str:
    if value is None or isinstance(value, (str, bool)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (Mapping, list, tuple)):
        if depth >= _DEPTH_MAX:
            raise InvalidRequest("too_deep", f"A value may be nested {_DEPTH_MAX} levels deep.")
        if isinstance(value, Mapping):
            names = sorted(value)
            fields = (f"{_json_text(name, depth)}:{_json_text(value[name], depth + 1)}" for name in names)
            return "{" + ",".join(fields) + "}"
        return "[" + ",".join(_json_text(item, depth + 1) for item in value) + "]"
    number = decimal_of(value)
    return str(value) if number is None else number_text(number)


def canonical(value: Any, *, numeric_texts: bool = True) -> Any:
    """`value` with every number replaced by the one text of its value, all the way down.

    With `numeric_texts` texts that are numbers ("5.00") too; fields that are null are left out. Values that
    differ in notation only have equal canonical forms. Raises InvalidRequest (`too_deep`) beyond 64 levels.
    """
    return _canonical(value, numeric_texts, 0)


def _canonical(value: Any, numeric_texts: bool, depth: int) -> Any:
    # Runs for every event that comes in: the commonest kinds first.
    kind = type(value)
    if kind is str:
        if not numeric_texts or value[:1] not in _MAY_BEGIN_A_NUMBER:
            return value
        if len(value) < _PLAIN_DIGITS_MAX and _CANONICAL(value):
            return value
        number = _decimal_in_text(value)
        return value if number is None else number_text(number)
    if kind is int:
        return str(value) if -_INT_LIMIT < value < _INT_LIMIT else number_text(Decimal(value))
    if value is None or kind is bool:
        return value
    if kind is dict or kind is list or isinstance(value, (Mapping, tuple)):
        if depth >= _DEPTH_MAX:
            raise InvalidRequest("too_deep", f"A value may be nested {_DEPTH_MAX} levels deep.")
        depth += 1
        if kind is dict or isinstance(value, Mapping):
            return {
                name: item
                if type(item) is str and item[:1] not in _MAY_BEGIN_A_NUMBER
                else _canonical(item, numeric_texts, depth)
                for name, item in value.items()
                if item is not None
            }
        return [_canonical(item, numeric_texts, depth) for item in value]
    number = decimal_of(value)
    return str(value) if number is None else number_text(number)


def _decimal_in_text(text: str) -> Decimal | None:
    if len(text) > _TEXT_LENGTH_MAX or _NUMERIC(text) is None:
        return None
    try:
        return Decimal(text.strip())
    except InvalidOperation:  # an exponent beyond what Decimal holds
        return None
