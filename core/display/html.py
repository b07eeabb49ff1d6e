"""The HTML of single values, the same in templates (through the tags) and in list columns."""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal, InvalidOperation
from typing import Final

from babel import Locale
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from core.display.icons import icon_html
from core.display.instants import Precision, ago_text, instant_text, utc_text, zone_name
from core.display.numbers import (
    DASH,
    Unit,
    currency_code,
    exact_text,
    money_text,
    percent_text,
    quantity_text,
)
from core.numbers import ZERO

_DIGITS_MAX: Final = 60  # more than any amount, quantity or ratio has; a number beyond is a mistake

ABSENT: Final = format_html(
    '<span class="absent"><span aria-hidden="true">{}</span>'
    '<span class="visually-hidden">no value</span></span>',
    DASH,
)


def as_decimal(value: object) -> Decimal | None:
    """The finite number in a Decimal, an int or the strings of stored lines; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        return None
    try:
        number = Decimal(value)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _DIGITS_MAX else None


def money_html(amount: object, currency: str | Unit, locale: Locale, *, exact: bool = False) -> SafeString:
    """Code and amount; the unrounded amount is in the title when rounding hid a part of it."""
    number = as_decimal(amount)
    if number is None:
        return ABSENT
    text = money_text(number, currency, locale, exact=exact)
    full = money_text(number, currency, locale, exact=True)
    title = format_html(' title="{}"', exact_text(number, currency)) if text != full else ""
    return format_html(
        '<span class="money{}"{}><span class="money-code">{}</span> '
        '<span class="money-amount">{}</span></span>',
        " is-negative" if number < 0 else "",
        title,
        currency_code(currency),
        text,
    )


def figure_html(value: object, unit: str, locale: Locale) -> SafeString:
    """Money where `unit` is written as currencies are, in capitals; else a number of what it names."""
    return money_html(value, unit, locale) if unit.isupper() else quantity_html(value, locale, unit)


def quantity_html(quantity: object, locale: Locale, unit: str = "") -> SafeString:
    """A number with its unit, if it has one."""
    number = as_decimal(quantity)
    if number is None:
        return ABSENT
    suffix = format_html(' <span class="unit">{}</span>', unit) if unit else ""
    return format_html('<span class="quantity">{}{}</span>', quantity_text(number, locale), suffix)


def percent_html(ratio: object, locale: Locale, digits: int = 1) -> SafeString:
    """A ratio in per cent; below zero it is marked, the sign saying it too."""
    number = as_decimal(ratio)
    if number is None:
        return ABSENT
    mark = " is-negative" if number < 0 else ""
    return format_html('<span class="percent{}">{}</span>', mark, percent_text(number, locale, digits=digits))


def delta_html(now: object, before: object, locale: Locale, better: str = "up") -> SafeString:
    """The change from `before` to `now` with an arrow; `better` (up, down, neither) decides its tone."""
    current, previous = as_decimal(now), as_decimal(before)
    if current is None or previous is None or not previous:
        return ABSENT
    change = (current - previous) / abs(previous)
    if not change:
        return mark_safe('<span class="delta is-neutral">unchanged</span>')
    shown = percent_text(abs(change), locale)
    if shown == percent_text(ZERO, locale):
        return mark_safe('<span class="delta is-neutral">almost unchanged</span>')
    direction = "up" if change > 0 else "down"
    tone = "neutral" if better == "neither" else "good" if better == direction else "bad"
    return format_html(
        '<span class="delta is-{}">{}<span class="visually-hidden">{} </span>{}</span>',
        tone,
        icon_html(f"arrow-{direction}", 14),
        direction,
        shown,
    )


def instant_html(
    at: datetime | None, zone: tzinfo, locale: Locale, precision: Precision = "minute"
) -> SafeString:
    """A `<time>` in the reader's or payer's zone, named, with UTC on hover."""
    if at is None:
        return ABSENT
    return format_html(
        '<time class="instant" datetime="{}" title="{}">{} <span class="zone">{}</span></time>',
        at.isoformat(),
        utc_text(at),
        instant_text(at, zone, locale, precision),
        zone_name(at, zone),
    )


def ago_html(at: datetime | None, now: datetime, locale: Locale) -> SafeString:
    """`3 minutes ago`, with the instant itself on hover."""
    if at is None:
        return ABSENT
    return format_html(
        '<time class="ago" datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        utc_text(at),
        ago_text(at, now, locale),
    )


def public_id_html(value: str | None) -> SafeString:
    """An id in the id face, with a button that copies it."""
    if not value:
        return ABSENT
    return format_html(
        '<span class="id"><code>{0}</code><button type="button" class="copy needs-script" data-copy="{0}"'
        ' aria-label="Copy {0}" title="Copy">{1}</button></span>',
        value,
        icon_html("copy", 14),
    )
