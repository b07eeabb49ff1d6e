"""Taking an event back leaves the state, and F, that the other events make: for every model and modifier."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.numbers import CONTEXT, ZERO
from pricing.rating import (
    EMPTY,
    Component,
    Group,
    History,
    State,
    Usage,
    rate_change,
    rate_event,
    rate_events,
    read_component,
)
from tests.pricing.rating.strategies import components, events
from tests.pricing.rating.test_properties import exact_sum, usages_of

Document = dict[str, Any]
MANY = settings(max_examples=100, deadline=None)
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]


class Live:
    """What a live system keeps, and does to it."""

    def __init__(self, component: Component) -> None:
        self.component = component
        self.states: dict[Group, State] = {}
        self.histories: dict[Group, History] = {}
        self.subtotal = ZERO
        self.amounts: list[Decimal] = []

    def charge(self, name: int, usage: Usage) -> None:
        """One more event."""
        group = self.component.group_of(usage)
        rated = rate_event(self.component, self.states.get(group, EMPTY), self.subtotal, usage)
        self.states[group], self.subtotal = rated.state, rated.subtotal
        self.amounts.append(rated.amount)
        self.histories.setdefault(group, History(self.component)).add(name, usage)

    def take_back(self, name: int, usage: Usage) -> Decimal:
        """One less; gives what that comes to."""
        group = self.component.group_of(usage)
        history, state = self.histories[group], self.states[group]
        if self.component.is_order_bound:
            after = history.without(name)
        else:
            after = self.component.retract(state, usage)
        rated = rate_change(self.component, state, self.subtotal, after)
        history.remove(name)
        self.states[group], self.subtotal = rated.state, rated.subtotal
        self.amounts.append(rated.amount)
        return rated.amount

    @property
    def charged(self) -> Decimal:
        """The sum of all charges and reversals."""
        return exact_sum(self.amounts)


def without(component: Component, usages: list[Usage], gone: set[int]) -> Decimal:
    """F of the events that are left, folded from nothing."""
    left = [usage for at, usage in enumerate(usages) if at not in gone]
    return component.total(component.subtotal(rate_events(component, left).values()))


def live(component: Component, usages: list[Usage]) -> Live:
    made = Live(component)
    for name, usage in enumerate(usages):
        made.charge(name, usage)
    return made


@MANY
@given(components(), events(is_signed=False), st.data())
def test_what_is_left_costs_what_it_would_have_cost_alone(
    raw: Document, usage: list[Document], data: st.DataObject
) -> None:
    component, usages = read_component(raw), usages_of(usage)
    made, gone = live(component, usages), set[int]()
    for name in data.draw(st.permutations(range(len(usages)))):
        before = made.charged
        amount = made.take_back(name, usages[name])
        gone.add(name)
        left = without(component, usages, gone)
        assert made.charged == left
        assert amount == CONTEXT.subtract(left, before)
    assert all(state.quantity == 0 and not state.transactions for state in made.states.values())


@MANY
@given(components(), events(is_signed=False), st.data())
def test_a_history_holds_the_state_of_its_events(
    raw: Document, usage: list[Document], data: st.DataObject
) -> None:
    component, usages = read_component(raw), usages_of(usage)
    history, names = History(component), list(range(len(usages)))
    for name in names:
        history.add(name, usages[name])
    while names:
        gone = data.draw(st.sampled_from(names))
        expected = EMPTY
        for name in names:
            if name != gone:
                expected = component.advance(expected, usages[name])
        assert history.without(gone) == expected
        history.remove(gone)
        names.remove(gone)
        assert history.state == expected
    assert history.state == EMPTY


@MANY
@given(st.lists(st.decimals("0", "50", places=1), min_size=1, max_size=8), st.data())
def test_a_maximum_falls_back_to_the_next_highest(values: list[Decimal], data: st.DataObject) -> None:
    component = read_component({"key": "c", "model": "graduated", "tiers": TIERS}, aggregation="max")
    assert component.is_order_bound
    made = live(component, [Usage(value) for value in values])
    at = data.draw(st.integers(0, len(values) - 1))
    made.take_back(at, Usage(values[at]))
    rest = values[:at] + values[at + 1 :]
    assert made.states[()].quantity == max(rest, default=ZERO)
    assert made.states[()].transactions == len(rest)


@pytest.mark.parametrize(
    ("model", "is_bound"),
    [
        ({"model": "per_unit", "unit_price": "1"}, False),
        ({"model": "volume", "tiers": TIERS}, False),
        ({"model": "cost_plus", "markup": "1"}, False),
        ({"model": "percentage", "rate": "0.1", "fixed_fee": "1"}, False),
        ({"model": "percentage", "rate": "0.1", "free_transactions": 3}, True),
        ({"model": "percentage", "rate": "0.1", "free_amount": "5"}, True),
    ],
)
def test_only_allowances_and_maxima_depend_on_the_order(model: Document, is_bound: bool) -> None:
    assert read_component({"key": "c"} | model).is_order_bound is is_bound


def test_an_event_that_took_back_is_taken_back() -> None:
    """A correction of -4 was itself a mistake: its 4 units come again."""
    component = read_component({"key": "c", "model": "percentage", "rate": "0.1", "fixed_fee": "1"})
    usages = [Usage(Decimal(value)) for value in ("10", "4", "-4")]
    made = live(component, usages)
    assert made.charged == 2
    assert made.take_back(2, usages[2]) == Decimal("1.4")
    assert made.states[()].transactions == 2


def test_an_unknown_event_is_in_no_history() -> None:
    component = read_component({"key": "c", "model": "per_unit", "unit_price": "1"})
    history = History(component)
    history.add("a", Usage(Decimal(1)))
    with pytest.raises(KeyError):
        history.without("b")
