"""Small drawings inside text and tables, as SVG from the server: a sparkline and a share bar."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from babel import Locale
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from core.display.html import ABSENT, as_decimal, percent_html
from core.display.numbers import percent_text

_WIDTH: Final = 100
_HEIGHT: Final = 28
_INSET: Final = Decimal(2)
_TENTH: Final = Decimal("0.1")


def sparkline_html(values: Sequence[Decimal | None], label: str = "") -> SafeString:
    """The course of `values` (at least two); gaps count as zero. Hidden from readers without a label."""
    if len(values) < 2:
        return ABSENT
    points = _points([value or Decimal(0) for value in values])
    line = " ".join(f"{x},{y}" for x, y in points)
    last_x, last_y = points[-1]
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {w} {h}" preserveAspectRatio="none" {role}>'
        '<polygon class="sparkline-area" points="0,{h} {line} {w},{h}"/>'
        '<polyline class="sparkline-line" points="{line}" vector-effect="non-scaling-stroke"/>'
        '<line class="sparkline-dot" x1="{x}" y1="{y}" x2="{x}" y2="{y}" vector-effect="non-scaling-stroke"/>'
        "</svg>",
        w=_WIDTH,
        h=_HEIGHT,
        line=line,
        x=last_x,
        y=last_y,
        role=format_html('role="img" aria-label="{}"', label) if label else mark_safe('aria-hidden="true"'),
    )


def _points(values: Sequence[Decimal]) -> list[tuple[Decimal, Decimal]]:
    low, high = min(*values, Decimal(0)), max(*values, Decimal(0))
    span = (high - low) or Decimal(1)
    step = (_WIDTH - 2 * _INSET) / (len(values) - 1)
    drawable = _HEIGHT - 2 * _INSET
    return [
        (
            (_INSET + step * index).quantize(_TENTH),
            (_INSET + drawable * (high - value) / span).quantize(_TENTH),
        )
        for index, value in enumerate(values)
    ]


def share_html(parts: Sequence[tuple[object, int]], whole: object, label: str) -> SafeString:
    """A bar cut into (value, palette colour) parts of `whole`; what exceeds it is cut off at the end.

    `label` says the same in words, for readers who do not see the bar.
    """
    total = as_decimal(whole)
    if not total or total < 0:
        return ABSENT
    offset = Decimal(0)
    rects: list[tuple[Decimal, Decimal, int]] = []
    for value, colour in parts:
        share = max(Decimal(0), (as_decimal(value) or Decimal(0)) * 100 / total)
        width = min(share, 100 - offset).quantize(_TENTH)
        rects.append((offset, width, colour))
        offset += width
    return format_html(
        '<svg class="share" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{}">'
        '<rect class="share-whole" width="100" height="6"/>{}</svg>',
        label,
        format_html_join("", '<rect class="share-{2}" x="{0}" width="{1}" height="6"/>', rects),
    )


def fill_html(used: Decimal, held: Decimal, whole: Decimal, locale: Locale, of: str) -> SafeString:
    """How full `whole` (a limit or quota: `of` says which) is: the share in per cent, whatever it is, over a
    bar of what is used and what is held, which ends where the whole does. A dash for a whole of nothing."""
    if not whole:
        return ABSENT
    share = (used + held) / whole
    bar = share_html([(used, 1), (held, 2)], whole, f"{percent_text(share, locale, digits=0)} of the {of}")
    return format_html('<span class="fill">{}{}</span>', percent_html(share, locale, 0), bar)
