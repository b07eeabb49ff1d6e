"""Currencies: ISO money and the operator's own units."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from accounts.currencies import check_currency, create_currency, currency_decimals
from accounts.models import Currency
from core.errors import InvalidRequest
from core.models import ConfigVersion
from tests.accounts.caller import Caller
from tests.accounts.conftest import Clock

PATH = "/v1/currencies"
CREDITS = {"code": "CREDITS", "name": "Credits", "price": "0.01", "price_currency": "USD"}

pytestmark = pytest.mark.django_db


def test_money_needs_no_entry() -> None:
    assert (currency_decimals("USD"), currency_decimals("JPY"), currency_decimals("KWD")) == (2, 0, 3)
    assert check_currency("EUR") == "EUR"


def test_a_unit_of_credits_is_made_and_found(admin: Caller, at: Clock) -> None:
    made = admin.made(PATH, CREDITS | {"decimals": 3})
    assert made == CREDITS | {"decimals": 3, "created_at": "2026-03-10T12:00:00Z"}
    assert currency_decimals("CREDITS") == 3
    assert admin.get(f"{PATH}/CREDITS").json == made
    assert admin.get(PATH).json["data"] == [made]


def test_what_a_unit_costs_may_change_its_decimals_may_not(admin: Caller) -> None:
    admin.made(PATH, CREDITS)
    answer = admin.patch(f"{PATH}/CREDITS", {"price": "0.02", "name": "Tokens", "price_currency": "EUR"})
    assert answer.status == 200
    unit = Currency.objects.get()
    assert (unit.price, unit.name, unit.price_currency) == (Decimal("0.02"), "Tokens", "EUR")
    assert admin.patch(f"{PATH}/CREDITS", {"decimals": 2}).error["code"] == "unknown_field"


def test_a_change_of_a_unit_is_seen_by_every_process(admin: Caller) -> None:
    admin.made(PATH, CREDITS)
    before = ConfigVersion.objects.get().version
    admin.patch(f"{PATH}/CREDITS", {"price": "0.02"})
    assert ConfigVersion.objects.get().version > before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("code", "USD"),
        ("code", "credits"),
        ("code", "CR"),
        ("code", "1CREDIT"),
        ("code", "CREDITS_CREDITS"),
        ("code", "CRÉDITS"),
        ("code", 5),
        ("decimals", -1),
        ("decimals", 13),
        ("decimals", "x"),
        ("decimals", None),
        ("price", "0"),
        ("price", "-1"),
        ("price", 0.01),
        ("price", "NaN"),
        ("price_currency", "CREDITS"),
        ("price_currency", "usd"),
        ("name", ""),
        ("name", "x" * 101),
    ],
)
def test_a_wrong_value_of_a_unit_is_named(admin: Caller, field: str, value: object) -> None:
    answer = admin.post(PATH, CREDITS | {field: value})
    assert (answer.status, answer.error["param"]) == (400, field)


def test_a_code_is_taken_once(admin: Caller) -> None:
    admin.made(PATH, CREDITS)
    assert admin.post(PATH, CREDITS).error["code"] == "already_exists"


@pytest.mark.parametrize(
    "code", ["", "XXX", "usd", "US", "ÜSD", "CREDITS", "U\x00D", "x" * 10_000, None, 5, [], {}]
)
def test_other_codes_are_unknown(code: object) -> None:
    with pytest.raises(InvalidRequest) as raised:
        check_currency(code)  # type: ignore[arg-type]
    assert raised.value.param == "currency"


def test_the_database_too_refuses_a_price_of_nothing() -> None:
    unit = create_currency(code="CREDITS", name="x", decimals=0, price=Decimal(1), price_currency="USD")
    for field, value in (("price", 0), ("decimals", 13)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Currency.objects.filter(pk=unit.pk).update(**{field: value})
