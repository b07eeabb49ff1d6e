"""Properties and costs of an event: what is taken, exactly, and what is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from metering.events import CostPart, parse_event
from tests.metering.test_events import EVENT, NOW, refusal

# --- properties


def with_properties(properties: object) -> dict[str, Any]:
    return EVENT | {"properties": properties}


@pytest.mark.parametrize("value", [[], "a", 5, True])
def test_properties_are_an_object(value: object) -> None:
    assert refusal(with_properties(value)) == ("invalid_type", "properties")


def test_any_json_value_is_a_property() -> None:
    properties = {"a": None, "b": True, "c": ["x", 1, {"d": Decimal("0.5")}], "": "", "e.f": "\n\t"}
    assert parse_event(with_properties(properties), NOW).properties == properties


@pytest.mark.parametrize(
    "number",
    [
        10**20 - 1,
        -(10**20 - 1),
        Decimal("99999999999999999999.999999999999"),
        Decimal("1E+19"),
        Decimal("1.50E-10"),
        Decimal("-0.0"),
        Decimal("0.1000000000000000"),
    ],
)
def test_numbers_within_the_range_are_taken_exactly(number: int | Decimal) -> None:
    kept = parse_event(with_properties({"tokens": number}), NOW).properties["tokens"]
    assert kept == number
    assert type(kept) is type(number)


@pytest.mark.parametrize(
    "number",
    [
        10**20,
        -(10**20),
        10**40,
        10**4000,
        Decimal("1E+20"),
        Decimal("1E-13"),
        Decimal("1E+999999999999"),
        Decimal("1E-999999999999"),
        Decimal("0E+999999"),
        Decimal("0E-999999"),
        Decimal("1.0000000000001"),
    ],
)
@pytest.mark.parametrize("nest", [lambda n: n, lambda n: [n], lambda n: {"x": [{"y": n}]}])
def test_numbers_out_of_range_are_refused_wherever_they_stand(number: int | Decimal, nest: Any) -> None:
    code, param = refusal(with_properties({"ok": 1, "tokens": nest(number)}))
    assert code == "number_out_of_range"
    assert param is not None
    assert param.startswith("properties.tokens")


@pytest.mark.parametrize(
    "number", [Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-Infinity")]
)
def test_nan_and_infinity_are_refused(number: Decimal) -> None:
    assert refusal(with_properties({"tokens": number})) == ("invalid_json", "properties.tokens")


@pytest.mark.parametrize("value", [1.5, float("nan"), b"x", {1, 2}, NOW, (1, 2)])
def test_what_json_does_not_know_is_refused(value: object) -> None:
    assert refusal(with_properties({"tokens": value})) == ("invalid_type", "properties.tokens")


def test_at_most_256_properties() -> None:
    parse_event(with_properties({str(n): n for n in range(256)}), NOW)
    assert refusal(with_properties({str(n): n for n in range(257)})) == ("too_many_properties", "properties")


def test_at_most_64_kilobytes_of_properties() -> None:
    parse_event(with_properties({"a": "x" * 65_000}), NOW)
    assert refusal(with_properties({"a": "x" * 65_537})) == ("properties_too_large", "properties")
    assert refusal(with_properties({"a": "é" * 33_000})) == ("properties_too_large", "properties")
    assert refusal(with_properties({"a": [1] * 40_000})) == ("properties_too_large", "properties")


def nested(levels: int, make: Any) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = make(value)
    return value


@pytest.mark.parametrize("make", [lambda value: [value], lambda value: {"a": value}])
def test_properties_nest_16_levels_deep(make: Any) -> None:
    parse_event(with_properties({"a": nested(15, make)}), NOW)
    code, param = refusal(with_properties({"a": nested(16, make)}))
    assert code == "too_deep"
    assert param is not None
    assert len(param) <= 200
    assert refusal(with_properties({"a": nested(500_000, make)}))[0] == "too_deep"


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "\ud800", "\udfff tail"])
@pytest.mark.parametrize("place", [lambda t: {"a": t}, lambda t: {t: 1}, lambda t: {"a": [{"b": t}]}])
def test_what_postgresql_cannot_keep_in_a_text_is_refused(text: str, place: Any) -> None:
    assert refusal(with_properties(place(text))) == ("invalid_text", "properties")


def test_a_backslash_before_u0000_is_ordinary_text() -> None:
    parse_event(with_properties({"path": "C:\\u0000"}), NOW)


# --- costs


def with_cost(**part: object) -> dict[str, Any]:
    return EVENT | {"costs": [{"vendor": "openai", "amount": "1", "currency": "USD"} | part]}


def test_an_empty_list_of_costs_says_that_it_costs_nothing() -> None:
    assert parse_event(EVENT | {"costs": []}, NOW).costs == ()


@pytest.mark.parametrize(
    ("sent", "amount"),
    [
        ("0", "0"),
        ("0.000000000000000001", "0.000000000000000001"),
        (3, "3"),
        (Decimal("0.25"), "0.25"),
        (Decimal("-0.0"), "0"),
        (Decimal("1E-5"), "0.00001"),
        ("-0", "0"),
        (0, "0"),
    ],
)
def test_a_cost_is_a_decimal_text_or_number(sent: object, amount: str) -> None:
    costs = parse_event(with_cost(amount=sent), NOW).costs
    assert costs == (CostPart("openai", Decimal(amount), "USD"),)
    assert not costs[0].amount.is_signed()


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ("-1", "negative_amount"),
        (-1, "negative_amount"),
        (Decimal("-0.1"), "negative_amount"),
        ("1e5", "invalid_decimal"),
        ("NaN", "invalid_decimal"),
        ("", "invalid_decimal"),
        ("1,5", "invalid_decimal"),
        (Decimal("NaN"), "invalid_json"),
        (10**20, "number_out_of_range"),
        ("1" * 21, "number_out_of_range"),
        (Decimal("1E-19"), "number_out_of_range"),
        (Decimal("0E-99999"), "number_out_of_range"),
        (True, "invalid_type"),
        (None, "invalid_type"),
        (0.5, "invalid_type"),
        ([], "invalid_type"),
    ],
)
def test_an_amount_that_is_none_is_refused(amount: object, code: str) -> None:
    assert refusal(with_cost(amount=amount)) == (code, "costs[0].amount")


@pytest.mark.parametrize("currency", ["usd", "XYZ", "", "DOLLAR", 5, None, ["USD"], {}])
def test_the_currency_of_a_cost_is_known(currency: object) -> None:
    assert refusal(with_cost(currency=currency)) == ("unknown_currency", "costs[0].currency")


@pytest.mark.parametrize(
    ("vendor", "code"), [("", "invalid_length"), (5, "invalid_type"), ("a\x00", "invalid_text")]
)
def test_the_vendor_of_a_cost_has_a_name(vendor: object, code: str) -> None:
    assert refusal(with_cost(vendor=vendor)) == (code, "costs[0].vendor")


def test_a_cost_has_its_three_fields_and_no_other() -> None:
    good = {"vendor": "a", "amount": "1", "currency": "USD"}
    assert refusal(EVENT | {"costs": [good, {"vendor": "a", "currency": "USD"}]}) == (
        "missing_field",
        "costs[1].amount",
    )
    assert refusal(with_cost(note="x")) == ("unknown_field", "costs[0].note")
    assert refusal(EVENT | {"costs": good}) == ("invalid_type", "costs")
    assert refusal(EVENT | {"costs": ["1"]}) == ("invalid_type", "costs[0]")
    assert refusal(EVENT | {"costs": [good] * 101}) == ("too_many_costs", "costs")
