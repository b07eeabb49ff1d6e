"""Keys that plan files give to plans, lines, features and meters: they stand in paths, URLs and documents."""

from __future__ import annotations

import re
from typing import Final

from pricing.rating.fields import Fields

KEY_LENGTH_MAX: Final = 100
_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


def read_key(fields: Fields, name: str) -> str:
    """A required key; raises InvalidRequest."""
    key = fields.name(name)
    if not _KEY.fullmatch(key):
        raise fields.error(
            name,
            "invalid_value",
            f"must be 1 to {KEY_LENGTH_MAX} letters, digits or _ . : - and begin with a letter or digit",
        )
    return key


def optional_name(fields: Fields, name: str, default: str) -> str:
    """A name for people; the default when absent."""
    return default if fields.value(name) is None else fields.name(name)


def optional_choice(fields: Fields, name: str, options: tuple[str, ...], default: str) -> str:
    """A text out of a few; the default when absent."""
    return default if fields.value(name) is None else fields.choice(name, options)


def optional_days(fields: Fields, name: str, days_max: int) -> int:
    """A whole number of days; 0 when absent."""
    days = fields.optional_count(name) or 0
    if days > days_max:
        raise fields.error(name, "number_out_of_range", f"must be at most {days_max}")
    return days
