"""A stored charge beside the same charge rated again, field by field. Without a database."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.models import Charge
from billing.recompute import Rerated, is_proved
from billing.verification.charges import FieldDifference, charge_differences

LINE: dict[str, Any] = {
    "component": "tok",
    "component_id": 7,
    "meter": "tokens",
    "segment": 3,
    "quantity": "5",
    "amount": "0.05",
    "plan_version": "pv_00000001",
    "position": {"from": "10", "to": "15"},
    "dimensions": "[]",
}
OTHER = LINE | {"component": "img", "component_id": 8, "segment": 4, "amount": "0.02"}


def stored(*lines: dict[str, Any], amount: str = "0.05") -> Charge:
    return Charge(
        customer_id=1,
        id=UUID(int=1),
        seq=2,
        amount=Decimal(amount),
        currency="USD",
        lines=list(lines),
    )


def again(*lines: dict[str, Any], amount: str = "0.05", problem: str = "") -> Rerated:
    return Rerated(Decimal(amount), list(lines), problem)


def test_the_same_has_no_differences() -> None:
    charge, rated = stored(LINE), again(LINE)
    assert is_proved(charge, rated)
    assert charge_differences(charge, rated) == []


@pytest.mark.parametrize(
    ("change", "field", "before", "after"),
    [
        ({"amount": "0.06"}, "amount", "0.05", "0.06"),
        ({"quantity": "6"}, "quantity", "5", "6"),
        ({"meter": "images"}, "meter", "tokens", "images"),
        ({"plan_version": "pv_00000002"}, "plan_version", "pv_00000001", "pv_00000002"),
        ({"dimensions": '["eu"]'}, "dimensions", "[]", '["eu"]'),
        ({"position": {"from": "10", "to": "16"}}, "position.to", "15", "16"),
        ({"position": {"from": "9", "to": "15"}}, "position.from", "10", "9"),
        ({"position": {"from": "10"}}, "position.to", "15", None),
        ({"late": {"f": "3"}}, "late.f", None, "3"),
    ],
)
def test_a_field_that_differs_is_named_with_both_sides(
    change: dict[str, Any], field: str, before: str | None, after: str | None
) -> None:
    charge, rated = stored(LINE), again(LINE | change)
    assert not is_proved(charge, rated)
    assert charge_differences(charge, rated) == [FieldDifference(0, "tok", field, before, after)]


def test_every_field_of_every_line_is_named() -> None:
    rated = again(LINE | {"amount": "1", "quantity": "2"}, OTHER | {"amount": "3"}, amount="4")
    found = charge_differences(stored(LINE, OTHER, amount="0.07"), rated)
    assert [(each.line, each.component, each.field) for each in found] == [
        (None, None, "amount"),
        (0, "tok", "amount"),
        (0, "tok", "quantity"),
        (1, "img", "amount"),
    ]


def test_the_charges_own_amount_stands_first() -> None:
    (found,) = charge_differences(stored(LINE, amount="0.050000000000000001"), again(LINE))
    assert found == FieldDifference(None, None, "amount", "0.050000000000000001", "0.05")


def test_numbers_that_are_equal_do_not_differ_by_their_zeros() -> None:
    assert charge_differences(stored(LINE, amount="0.050"), again(LINE)) == []


@pytest.mark.parametrize(
    ("before", "after", "sides"),
    [((LINE, OTHER), (LINE,), ("img", None)), ((LINE,), (LINE, OTHER), (None, "img"))],
)
def test_a_line_on_one_side_only_differs_in_all_its_fields(
    before: tuple[Any, ...], after: tuple[Any, ...], sides: tuple[str | None, str | None]
) -> None:
    found = charge_differences(stored(*before), again(*after))
    assert {each.line for each in found} == {1}
    assert {each.component for each in found} == {"img"}
    names = [each.field for each in found]
    assert names == sorted(names)
    assert {"amount", "position.from", "position.to", "quantity"} <= set(names)
    component = next(each for each in found if each.field == "component")
    assert (component.stored, component.recomputed) == sides


def test_what_cannot_be_rated_is_told_as_the_charge_itself() -> None:
    charge, rated = stored(LINE), again(problem="its event is not there", amount="0")
    assert not is_proved(charge, rated)
    (found,) = charge_differences(charge, rated)
    assert found == FieldDifference(None, None, "charge", "0.05", "its event is not there")


def test_what_cannot_be_rated_is_not_proved_even_if_nothing_was_stored() -> None:
    assert not is_proved(stored(amount="0"), again(problem="x", amount="0"))


def test_of_some_segments_only_their_lines_are_compared() -> None:
    charge = stored(LINE, OTHER, amount="0.07")
    assert charge_differences(charge, again(OTHER, amount="0.02"), {4}) == []
    (found,) = charge_differences(charge, again(OTHER | {"amount": "9"}, amount="9"), {4})
    assert (found.line, found.component, found.field) == (0, "img", "amount")


def test_of_all_its_segments_the_amount_is_compared_too() -> None:
    charge = stored(LINE, OTHER, amount="0.08")
    (found,) = charge_differences(charge, again(LINE, OTHER, amount="0.07"), {3, 4})
    assert (found.field, found.stored, found.recomputed) == ("amount", "0.08", "0.07")
