"""Names and ids that people give: what a text may hold wherever it comes in."""

from __future__ import annotations

from typing import Final

from core.errors import InvalidRequest

NAME_MAX: Final = 200


def clean_text(value: object, param: str, *, max_length: int = NAME_MAX) -> str:
    """`value` without space around it: 1 to `max_length` characters, none of them a control character.

    Raises InvalidRequest (`invalid_type`, `blank`, `too_long`, `invalid_text`) naming `param`.
    """
    if not isinstance(value, str):
        raise InvalidRequest("invalid_type", f"{param} must be a text.", param)
    text = value.strip()
    if any(is_forbidden(character) for character in text):
        raise InvalidRequest("invalid_text", f"{param} may not contain control characters.", param)
    if not text:
        raise InvalidRequest("blank", f"{param} may not be empty.", param)
    if len(text) > max_length:
        raise InvalidRequest("too_long", f"{param} may have at most {max_length} characters.", param)
    return text


def is_forbidden(character: str) -> bool:
    """Whether no text may hold it: control characters, and halves of a surrogate pair, which is no UTF-8."""
    return character < " " or "\x7f" <= character <= "\x9f" or "\ud800" <= character <= "\udfff"
