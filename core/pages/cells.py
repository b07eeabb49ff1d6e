"""Cells that the general columns do not have: a line for each currency, people and things as links."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from core.display.html import ABSENT
from core.pages.columns import Column, Reader

NOT_COMPARABLE: Final = "not comparable"


def custom_column(
    key: str,
    label: str,
    cell: Callable[[Any, Reader], str],
    *,
    sort: str | None = None,
    is_numeric: bool = False,
    hint: str = "",
    csv: Callable[[Any], object] | None = None,
) -> Column:
    """A column whose cell is made of the whole row; `csv` gives its one field, which is empty without it."""
    return Column(
        key=key,
        label=label,
        value=lambda row: row,
        cell=lambda value, row, reader: cell(row, reader),
        sort=sort,
        is_numeric=is_numeric,
        hint=hint,
        csv_keys=(key,),
        csv=lambda row: (csv(row) if csv else "",),
    )


def stacked(parts: Iterable[str]) -> SafeString:
    """One line for each part; a dash for none."""
    lines = [(part,) for part in parts]
    if len(lines) > 1:
        return format_html_join("", '<span class="line">{}</span>', lines)
    return format_html("{}", lines[0][0]) if lines else ABSENT


def link(url: str, text: object) -> SafeString:
    """A link; text alone when it leads nowhere."""
    return format_html('<a href="{}">{}</a>', url, text) if url else format_html("{}", text)


def not_comparable(why: str) -> SafeString:
    """Says that figures cannot be compared, and why when one asks."""
    return format_html('<span class="hint muted" title="{}">{}</span>', why, NOT_COMPARABLE)


def with_sub(main: str, sub: str) -> SafeString:
    """A value over a quieter line."""
    return format_html('{}<span class="sub">{}</span>', main, sub) if sub else format_html("{}", main)
