"""JSON in and out for the command line doors (`manage.py rate`, `manage.py aggregate`).

Numbers stay exact: an integer literal is an `int` (a `Decimal` when very long), a literal with a point or an
exponent is a `Decimal`, and a quoted number is a `str`, so that a caller can tell them apart.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from core.errors import InvalidRequest, TollgateError
from core.numbers import plain

DEPTH_MAX: Final = 64
# Python refuses to turn much longer digit strings into an int; Decimal takes them in linear time.
INT_DIGITS_MAX: Final = 100
EXPONENT_MAX: Final = 999_999_999_999_999_999
EXIT_OK: Final = 0
EXIT_ERRORS: Final = 2

# A value on the way down: itself, its key or index in the parent, the parent, its depth.
_Node = tuple[Any, "str | int | None", Any, int]


def parse_json(raw: bytes) -> Any:
    """Parse strict UTF-8 JSON; raises InvalidRequest for anything else and for what `check_json` refuses."""
    value = decode_json(raw)
    check_json(value)
    return value


def check_json(value: Any) -> None:
    """Refuse what no store can hold: NaN and Infinity, NUL and lone surrogates in texts, deep nesting.

    Raises InvalidRequest whose `param` is the path of the offending value.
    """
    stack: list[_Node] = [(value, None, None, 0)]
    while stack:
        node = stack.pop()
        item, depth = node[0], node[3]
        if isinstance(item, str):
            _check_text(item, node)
        elif isinstance(item, (dict, list)):
            if depth >= DEPTH_MAX:
                raise InvalidRequest("too_deep", f"JSON may be nested {DEPTH_MAX} levels deep.", _path(node))
            if isinstance(item, dict):
                for key in item:
                    _check_text(key, node)
                stack.extend((child, key, node, depth + 1) for key, child in item.items())
            else:
                stack.extend((child, index, node, depth + 1) for index, child in enumerate(item))
        elif isinstance(item, Decimal) and not item.is_finite():
            raise InvalidRequest("invalid_json", "NaN and Infinity are not JSON numbers.", _path(node))


def run_door(path_or_dash: str, one: Callable[[Any], Any]) -> tuple[str, int]:
    """Answer a JSON document, or each item of an array in its place; gives (text, exit code).

    A TollgateError raised by `one` becomes `{"error": {...}}` in the item's place, the rest is computed, and
    the exit code is 2. A document that cannot be read at all is one such error.
    """
    try:
        value = decode_json(read_bytes(path_or_dash))
    except TollgateError as error:
        return write_json({"error": error.as_dict()}), EXIT_ERRORS
    items = value if isinstance(value, list) else [value]
    answers: list[Any] = []
    exit_code = EXIT_OK
    for item in items:
        try:
            check_json(item)
            answers.append(one(item))
        except TollgateError as error:
            answers.append({"error": error.as_dict()})
            exit_code = EXIT_ERRORS
    return write_json(answers if isinstance(value, list) else answers[0]), exit_code


def write_json(value: Any) -> str:
    """Indented JSON in ASCII (any terminal and any locale can carry it); a Decimal is a plain string."""
    return json.dumps(value, indent=2, allow_nan=False, default=_plain_decimal)


def read_bytes(path_or_dash: str) -> bytes:
    """The bytes of a file, or of standard input for `-`; raises InvalidRequest when it cannot be read."""
    if path_or_dash == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path_or_dash).read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "the name is not valid"
        raise InvalidRequest("unreadable_file", f"{path_or_dash!r} cannot be read: {reason}.") from error


def decode_json(raw: bytes) -> Any:
    """Parse JSON without `check_json`: NaN comes as a Decimal that is not finite; raises InvalidRequest."""
    try:
        # Windows editors begin a file with a byte order mark; it is no part of the document.
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest("invalid_utf8", f"Not UTF-8 at byte {error.start}.") from error
    try:
        return json.loads(text, parse_int=_parse_int, parse_float=_parse_float, parse_constant=Decimal)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest("invalid_json", f"Not JSON at {where}: {error.msg}.") from error
    except RecursionError as error:
        raise InvalidRequest("too_deep", f"JSON may be nested {DEPTH_MAX} levels deep.") from error


def _parse_int(text: str) -> int | Decimal:
    return int(text) if len(text) <= INT_DIGITS_MAX else Decimal(text)


def _parse_float(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        # The exponent itself is too long for Decimal: far out of every range, and so is the nearest bound.
        sign = int(text.startswith("-"))
        return Decimal((sign, (1,), -EXPONENT_MAX if "-" in text[1:] else EXPONENT_MAX))


def _check_text(text: str, node: _Node) -> None:
    if "\x00" in text:
        raise InvalidRequest("invalid_text", "A text may not contain the NUL character.", _path(node))
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise InvalidRequest("invalid_text", "A text may not contain half of a surrogate pair.", _path(node))


def _path(node: _Node) -> str | None:
    parts: list[str] = []
    step: Any = node
    while step[1] is not None:
        parts.append(f"[{step[1]}]" if isinstance(step[1], int) else f".{step[1]}")
        step = step[2]
    return "".join(reversed(parts)).lstrip(".") or None


def _plain_decimal(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
