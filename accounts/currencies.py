"""Currencies: ISO money, which needs no row, and the operator's own units of credits."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, TypedDict, Unpack

from django.db import transaction

from accounts.models import Currency
from core import clock
from core.currencies import ISO_DECIMALS, iso_decimals
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest
from core.texts import clean_text

DECIMALS_MAX: Final = 12
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{2,11}")
_TAKEN: Final = ("already_exists", "There is a currency with this code already.", "code")

explain_constraint("accounts_currency_pkey", Conflict, *_TAKEN)


class CurrencyChanges(TypedDict, total=False):
    """What may change about a unit of credits. Its decimals may not: balances are counted in them."""

    name: str
    price: Decimal
    price_currency: str


def create_currency(*, code: str, name: str, decimals: int, price: Decimal, price_currency: str) -> Currency:
    """A unit of credits: `code` like CREDITS (3 to 12 capitals, digits and _), one of which costs `price`.

    Raises InvalidRequest for a code of ISO 4217 or another form, Conflict for one that is there already.
    """
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise InvalidRequest("invalid_code", "A code has 3 to 12 capitals, digits and _.", "code")
    if code in ISO_DECIMALS:
        raise InvalidRequest(
            "reserved_code", f"{code} is money; a unit of credits needs another code.", "code"
        )
    if not 0 <= decimals <= DECIMALS_MAX:
        raise InvalidRequest("out_of_range", f"decimals must be 0 to {DECIMALS_MAX}.", "decimals")
    _check_price(price)
    _check_money(price_currency)
    with transaction.atomic():
        if Currency.objects.filter(pk=code).exists():
            raise Conflict(*_TAKEN)
        return Currency.objects.create(
            code=code,
            name=clean_text(name, "name", max_length=100),
            decimals=decimals,
            price=price,
            price_currency=price_currency,
            created_at=clock.now(),
        )


def change_currency(currency: Currency, **changes: Unpack[CurrencyChanges]) -> Currency:
    """Rename a unit or set what it costs from now on; returns the row as it is then."""
    with transaction.atomic():
        currency = Currency.objects.select_for_update().get(pk=currency.pk)
        if "name" in changes:
            currency.name = clean_text(changes["name"], "name", max_length=100)
        if "price" in changes:
            _check_price(changes["price"])
            currency.price = changes["price"]
        if "price_currency" in changes:
            _check_money(changes["price_currency"])
            currency.price_currency = changes["price_currency"]
        currency.save(update_fields=["name", "price", "price_currency"])
        return currency


def check_currency(code: str) -> str:
    """`code` if it is ISO money or one of the operator's units; raises InvalidRequest `unknown_currency`."""
    currency_decimals(code)
    return code


def currency_decimals(code: str) -> int:
    """The decimals in which documents round a currency; raises InvalidRequest `unknown_currency`."""
    if isinstance(code, str) and code not in ISO_DECIMALS and _CODE.fullmatch(code):
        unit = Currency.objects.filter(pk=code).first()
        if unit is not None:
            return unit.decimals
    return iso_decimals(code if isinstance(code, str) else "")


def _check_price(price: Decimal) -> None:
    if price <= 0:
        raise InvalidRequest("out_of_range", "price must be above zero.", "price")


def _check_money(code: str) -> None:
    if code not in ISO_DECIMALS:
        raise InvalidRequest(
            "unknown_currency", "price_currency must be an ISO 4217 code in capitals.", "price_currency"
        )
