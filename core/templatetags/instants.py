"""`{% instant at zone %}` and `{% ago at %}`: points in time, in the payer's zone with UTC on hover."""

from __future__ import annotations

from datetime import date, datetime, tzinfo

from django import template
from django.template import Context
from django.utils.safestring import SafeString

from core import clock
from core.display.html import ago_html, instant_html
from core.display.instants import Precision, day_text, zone_of
from core.display.locale import locale_of

register = template.Library()


@register.simple_tag(takes_context=True)
def instant(
    context: Context, at: datetime | None, zone: str | tzinfo | None = None, precision: Precision = "minute"
) -> SafeString:
    """The instant in `zone` (IANA name; UTC when absent) to the day, minute or second."""
    return instant_html(at, zone_of(zone), locale_of(context.get("request")), precision)


@register.simple_tag(takes_context=True)
def ago(context: Context, at: datetime | None) -> SafeString:
    """How long ago by the project's clock."""
    return ago_html(at, clock.now(), locale_of(context.get("request")))


@register.simple_tag(takes_context=True)
def day(context: Context, value: date) -> str:
    """A calendar day without a time."""
    return day_text(value, locale_of(context.get("request")))
