"""`{% quantity %}`, `{% percent %}` and `{% delta %}`: numbers that are not money."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.template import Context
from django.utils.safestring import SafeString

from core.display.html import delta_html, figure_html, percent_html, quantity_html
from core.display.locale import locale_of
from core.numbers import plain as plain_text

register = template.Library()


@register.simple_tag(takes_context=True)
def quantity(context: Context, value: object, unit: str = "") -> SafeString:
    """A quantity with every significant decimal, and its unit if one is given."""
    return quantity_html(value, locale_of(context.get("request")), unit)


@register.simple_tag(takes_context=True)
def figure(context: Context, value: object, unit: str) -> SafeString:
    """An amount of money where `unit` is a currency, or else a number of what it names."""
    return figure_html(value, unit, locale_of(context.get("request")))


@register.simple_tag(takes_context=True)
def percent(context: Context, ratio: object, digits: int = 1) -> SafeString:
    """The ratio 0.234 as 23.4%."""
    return percent_html(ratio, locale_of(context.get("request")), digits)


@register.simple_tag(takes_context=True)
def delta(context: Context, now: object, before: object, better: str = "up") -> SafeString:
    """The relative change from `before` to `now`; `better` is up, down or neither."""
    return delta_html(now, before, locale_of(context.get("request")), better)


@register.simple_tag
def plain(value: Decimal) -> str:
    """A number as a form field takes it: no grouping, no exponent."""
    return plain_text(value)
