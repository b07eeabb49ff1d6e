"""The live path: one event in, one charge out; states that can be stored; maximums and re-folding."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from core.errors import InvalidRequest
from core.numbers import ZERO
from pricing.rating import (
    EMPTY,
    State,
    Usage,
    explain_change,
    group_text,
    rate_event,
    rate_events,
    read_component,
)
from pricing.rating.groups import dimension_text

GRADUATED = {
    "key": "tok",
    "model": "graduated",
    "tiers": [{"up_to": "10", "unit_price": "1", "flat_fee": "2"}, {"up_to": None, "unit_price": "0.5"}],
}
PER_UNIT = {"key": "tok", "model": "per_unit", "unit_price": "2"}


def test_an_event_is_charged_by_what_it_changes() -> None:
    component = read_component(GRADUATED)
    first = rate_event(component, EMPTY, ZERO, Usage(Decimal(8)))
    assert (first.amount, first.position_from, first.position_to) == (Decimal(10), ZERO, Decimal(8))
    second = rate_event(component, first.state, first.subtotal, Usage(Decimal(4)))
    assert (second.amount, second.position_from, second.position_to) == (Decimal(3), Decimal(8), Decimal(12))
    assert second.subtotal == Decimal(13)
    back = rate_event(component, second.state, second.subtotal, Usage(Decimal(-12)))
    assert (back.amount, back.subtotal) == (Decimal(-13), ZERO)


def test_groups_share_one_subtotal_and_so_one_maximum() -> None:
    component = read_component(PER_UNIT | {"group_by": ["model"], "maximum": "15"})
    first = rate_event(component, EMPTY, ZERO, Usage(Decimal(5), {"model": "a"}))
    other = rate_event(component, EMPTY, first.subtotal, Usage(Decimal(5), {"model": "b"}))
    assert (first.amount, other.amount, other.subtotal) == (Decimal(10), Decimal(5), Decimal(20))


def test_a_reversal_below_the_maximum_gives_back_only_what_was_charged() -> None:
    component = read_component(PER_UNIT | {"maximum": "15"})
    full = rate_event(component, EMPTY, ZERO, Usage(Decimal(10)))
    back = rate_event(component, full.state, full.subtotal, Usage(Decimal(-5)))
    assert (full.amount, back.amount) == (Decimal(15), Decimal(-5))


def test_many_tiny_charges_come_to_a_cent() -> None:
    component = read_component({"key": "c", "model": "per_unit", "unit_price": "0.00000000000001"})
    state, subtotal, charged = EMPTY, ZERO, ZERO
    for _ in range(1000):
        rated = rate_event(component, state, subtotal, Usage(Decimal(10**9)))
        state, subtotal = rated.state, rated.subtotal
        charged += rated.amount
    assert charged == Decimal("0.01")
    assert rate_event(component, EMPTY, ZERO, Usage(Decimal(10**12))).amount == Decimal("0.01")


def test_a_maximum_is_charged_when_it_rises() -> None:
    component = read_component(PER_UNIT, aggregation="max")
    state, subtotal, charged = EMPTY, ZERO, []
    for value in (3, 2, 7, 7):
        rated = rate_event(component, state, subtotal, Usage(Decimal(value)))
        state, subtotal = rated.state, rated.subtotal
        charged.append(rated.amount)
    assert charged == [Decimal(6), ZERO, Decimal(8), ZERO]
    assert state.quantity == Decimal(7)


def test_a_maximum_may_be_negative_until_it_is_not() -> None:
    component = read_component(PER_UNIT, aggregation="max")
    states = rate_events(component, [Usage(Decimal(-5)), Usage(Decimal(-7))])
    assert (states[()].quantity, component.f_group(states[()])) == (Decimal(-5), ZERO)
    assert component.f_group(rate_events(component, [Usage(Decimal(1))], states)[()]) == Decimal(2)


def test_reversing_a_maximum_folds_the_rest_again() -> None:
    component = read_component(PER_UNIT, aggregation="max")
    before = rate_events(component, [Usage(Decimal(value)) for value in (3, 9, 4)])
    after = rate_events(component, [Usage(Decimal(value)) for value in (3, 4)])
    assert explain_change(component, after, before).amount == Decimal(-10)


def test_uniques_add_one_or_nothing() -> None:
    component = read_component(PER_UNIT, aggregation="unique")
    assert rate_event(component, EMPTY, ZERO, Usage(Decimal(1))).amount == Decimal(2)
    assert (
        rate_event(component, State(Decimal(1), 1, ZERO, Decimal(2)), Decimal(2), Usage(ZERO)).amount == ZERO
    )


def test_rate_events_leaves_the_states_it_begins_from_alone() -> None:
    component = read_component(PER_UNIT)
    before = rate_events(component, [Usage(Decimal(1))])
    rate_events(component, [Usage(Decimal(1))], before)
    assert before[()].quantity == Decimal(1)


def test_a_state_survives_json() -> None:
    state = State(Decimal("1.5"), -3, Decimal("0.000000000000000001"), Decimal("-7.25"))
    stored = json.loads(json.dumps(state.as_dict()))
    assert stored == {
        "quantity": "1.5",
        "transactions": -3,
        "volume": "0.000000000000000001",
        "amount": "-7.25",
    }
    assert State.from_dict(stored) == state
    assert State.from_dict(EMPTY.as_dict()) == EMPTY


def test_components_and_states_cannot_be_changed() -> None:
    component = read_component(PER_UNIT)
    with pytest.raises(AttributeError):
        component.key = "other"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        EMPTY.quantity = Decimal(1)  # type: ignore[misc]


def test_a_group_is_stored_as_a_canonical_array() -> None:
    component = read_component(PER_UNIT | {"group_by": ["model", "size"]})
    assert component.group_of(Usage(Decimal(1), {"size": 8, "x": 1})) == (None, "8")
    assert group_text((None, "8", 'é"')) == '[null,"8","é\\""]'
    assert group_text(read_component(PER_UNIT).group_of(Usage(Decimal(1), {"model": "a"}))) == "[]"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", ""),
        ("8.0", "8.0"),
        (8, "8"),
        (Decimal("8.50"), "8.5"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (True, "true"),
        (False, "false"),
    ],
)
def test_a_dimension_value_is_a_text(value: object, text: str | None) -> None:
    assert dimension_text(value) == text


@pytest.mark.parametrize("value", [[], {}, float("nan"), Decimal("Infinity"), Decimal("1e999999")])
def test_a_dimension_value_that_is_no_scalar_is_refused(value: object) -> None:
    with pytest.raises(InvalidRequest):
        dimension_text(value, "dimensions.model")
