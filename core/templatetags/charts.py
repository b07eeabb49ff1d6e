"""`{% chart %}`, `{% sparkline %}` and `{% share %}`: drawings, each with words for who does not see it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django import template
from django.template import Context
from django.utils.safestring import SafeString

from core.display.charts import Chart
from core.display.locale import locale_of
from core.display.sparklines import fill_html, share_html, sparkline_html

register = template.Library()


@register.inclusion_tag("components/chart.html", takes_context=True)
def chart(context: Context, chart: Chart, heading: str = "h2") -> dict[str, Any]:
    """A figure: canvas for the script, its data, and the same figures as a table."""
    locale = locale_of(context.get("request"))
    return {"chart": chart, "payload": chart.payload(locale), "rows": chart.rows(locale), "heading": heading}


@register.simple_tag
def sparkline(values: Sequence[Decimal | None], label: str = "") -> SafeString:
    """The course of some values as a small line."""
    return sparkline_html(values, label)


@register.simple_tag
def share(value: object, whole: object, label: str, colour: int = 1) -> SafeString:
    """How much of `whole` is `value`, as a bar."""
    return share_html([(value, colour)], whole, label)


@register.simple_tag(takes_context=True)
def fill(context: Context, used: Decimal, held: Decimal, whole: Decimal, of: str) -> SafeString:
    """How full a limit or quota is: the share in per cent over a bar."""
    return fill_html(used, held, whole, locale_of(context.get("request")), of)
