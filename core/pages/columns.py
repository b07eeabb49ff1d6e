"""Columns of a list: what a row shows in each, how it sorts and what it is in the CSV.

A column is made by the function named for what it shows. `path` is the attribute of the row
(dotted for a related one), and also what the rows are ordered by when `sort` is not given;
`sort=None` makes a column that cannot be sorted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import reduce
from typing import Any, Final

from babel import Locale
from django.template.loader import render_to_string
from django.utils.html import format_html

from core.display.html import (
    ABSENT,
    ago_html,
    instant_html,
    money_html,
    percent_html,
    public_id_html,
    quantity_html,
)
from core.display.instants import Precision, zone_of
from core.display.numbers import currency_code
from core.display.statuses import status_html

SAME: Final = "="
"""Stands for "the column's own path" where a sort path is asked for."""


@dataclass(frozen=True)
class Reader:
    """Who looks: in what locale, and at what instant the page was made."""

    locale: Locale
    now: datetime


Cell = Callable[[Any, Any, Reader], str]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column. `cell` gets (value, row, reader) and returns text or safe HTML."""

    key: str
    label: str
    value: Callable[[Any], Any]
    cell: Cell
    sort: str | None = None
    is_numeric: bool = False
    hint: str = ""
    is_extra: bool = False
    csv_keys: tuple[str, ...]
    csv: Callable[[Any], tuple[object, ...]]

    def extra(self) -> Column:
        """The same column, hidden until the reader chooses it."""
        return replace(self, is_extra=True)


def text(path: str, label: str, *, sort: str | None = SAME, hint: str = "", sub: str = "") -> Column:
    """Words; `sub` is the path of a second, quieter line."""

    def cell(value: Any, row: Any, reader: Reader) -> str:
        below = follow(row, sub) if sub else None
        main = ABSENT if value in (None, "") else value
        return format_html('{}<span class="sub">{}</span>', main, below) if below else format_html("{}", main)

    return _column(path, label, cell, sort=sort, hint=hint)


def identifier(path: str, label: str, *, sort: str | None = None) -> Column:
    """A public id with a copy button."""
    return _column(path, label, lambda value, row, reader: public_id_html(value), sort=sort)


def money(
    path: str, label: str, *, currency: str, sort: str | None = SAME, hint: str = "", exact: bool = False
) -> Column:
    """An amount; `currency` is the path of its currency on the row. Two fields in the CSV."""
    key = _key(path)

    def cell(value: Any, row: Any, reader: Reader) -> str:
        return money_html(value, follow(row, currency) or "", reader.locale, exact=exact)

    def csv(row: Any) -> tuple[object, ...]:
        unit = follow(row, currency)
        return follow(row, path), currency_code(unit) if unit else ""

    column = _column(path, label, cell, sort=sort, hint=hint, is_numeric=True)
    return replace(column, csv_keys=(key, f"{key}_currency"), csv=csv)


def quantity(path: str, label: str, *, unit: str = "", sort: str | None = SAME, hint: str = "") -> Column:
    """A number that is not money."""

    def cell(value: Any, row: Any, reader: Reader) -> str:
        return quantity_html(value, reader.locale, unit)

    return _column(path, label, cell, sort=sort, hint=hint, is_numeric=True)


def percent(path: str, label: str, *, sort: str | None = SAME, hint: str = "", digits: int = 1) -> Column:
    """A ratio, shown in per cent; the CSV keeps the ratio."""

    def cell(value: Any, row: Any, reader: Reader) -> str:
        return percent_html(value, reader.locale, digits)

    return _column(path, label, cell, sort=sort, hint=hint, is_numeric=True)


def instant(
    path: str,
    label: str,
    *,
    zone: str | tzinfo | None = None,
    zone_path: str = "",
    sort: str | None = SAME,
    precision: Precision = "minute",
) -> Column:
    """A point in time in `zone`, or in the zone that the row names at `zone_path`; UTC in the CSV."""

    def cell(value: Any, row: Any, reader: Reader) -> str:
        return instant_html(
            value, zone_of(follow(row, zone_path) if zone_path else zone), reader.locale, precision
        )

    return _column(path, label, cell, sort=sort)


def ago(path: str, label: str, *, sort: str | None = SAME) -> Column:
    """A point in time as the span since; the instant itself in the CSV."""
    return _column(
        path, label, lambda value, row, reader: ago_html(value, reader.now, reader.locale), sort=sort
    )


def status(path: str, label: str, *, sort: str | None = SAME) -> Column:
    """A status badge; the stored word in the CSV."""

    def cell(value: Any, row: Any, reader: Reader) -> str:
        return status_html(value) if value else ABSENT

    return _column(path, label, cell, sort=sort)


def custom(
    path: str, label: str, *, template: str, sort: str | None = None, is_numeric: bool = False, hint: str = ""
) -> Column:
    """A cell of a template of its own, which gets `value`, `row` and `reader`."""

    def cell(value: Any, row: Any, reader: Reader) -> str:
        return render_to_string(template, {"value": value, "row": row, "reader": reader})

    return _column(path, label, cell, sort=sort, is_numeric=is_numeric, hint=hint)


def follow(row: Any, path: str) -> Any:
    """The value at a path, `payer.currency` or `payer__currency`; a None on the way ends it."""
    return reduce(_step, path.replace("__", ".").split("."), row)


def _step(value: Any, name: str) -> Any:
    if value is None:
        return None
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name)


def _key(path: str) -> str:
    return path.replace("__", "_").replace(".", "_")


def _column(
    path: str,
    label: str,
    cell: Cell,
    *,
    sort: str | None,
    is_numeric: bool = False,
    hint: str = "",
) -> Column:
    return Column(
        key=_key(path),
        label=label,
        value=lambda row: follow(row, path),
        cell=cell,
        sort=path if sort == SAME else sort,
        is_numeric=is_numeric,
        hint=hint,
        csv_keys=(_key(path),),
        csv=lambda row: (follow(row, path),),
    )
