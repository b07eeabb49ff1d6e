"""`{% money amount currency %}`: an amount with its currency code, as the reader's locale writes it."""

from __future__ import annotations

from decimal import Decimal

from django import template
from django.template import Context
from django.utils.safestring import SafeString

from core.display.html import money_html
from core.display.locale import locale_of
from core.display.numbers import Unit
from core.numbers import CONTEXT, round_significant

register = template.Library()


@register.simple_tag(takes_context=True)
def money(
    context: Context,
    amount: object,
    currency: str | Unit,
    exact: bool = False,
    significant: bool = False,
) -> SafeString:
    """Rounded to the minor unit, or with `exact=True` every significant decimal (unit prices).

    `significant=True` rounds to four significant digits first: for quotients, which have too many.
    """
    if significant and isinstance(amount, Decimal) and amount:
        amount = round_significant(amount, 4)
    return money_html(amount, currency, locale_of(context.get("request")), exact=exact or significant)


@register.simple_tag
def scaled(price: Decimal, units: Decimal) -> Decimal:
    """The price of so many units: a price for each of them has too many zeros to read."""
    return CONTEXT.multiply(price, units)
