"""From one event to one charge, and from a list of events to the states of a segment. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import NamedTuple

from core.numbers import CONTEXT
from pricing.rating.component import Component
from pricing.rating.groups import Group
from pricing.rating.state import EMPTY, State, Usage

States = dict[Group, State]


class Rated(NamedTuple):
    """What one event changed: its group's state, the component's subtotal, and the charge.

    `amount` is F after less F before, at 18 decimals; negative when units were repriced or given back.
    `position_from` and `position_to` are the group's quantities before and after.
    """

    state: State
    subtotal: Decimal
    amount: Decimal
    position_from: Decimal
    position_to: Decimal


def rate_event(component: Component, state: State, subtotal: Decimal, usage: Usage) -> Rated:
    """Rate one event. The hot path: a few microseconds.

    `state` is that of the event's group, `subtotal` the sum of F over all groups of the component; both are
    `EMPTY` and 0 in a new segment. Raises NotPriced when the model has no price for the event.
    """
    after = component.advance(state, usage)
    change = CONTEXT.subtract(component.f_group(after), component.f_group(state))
    subtotal_after = CONTEXT.add(subtotal, change)
    amount = CONTEXT.subtract(component.total(subtotal_after), component.total(subtotal))
    return Rated(after, subtotal_after, amount, state.quantity, after.quantity)


def rate_events(component: Component, usages: Iterable[Usage], states: States | None = None) -> States:
    """The states of all groups after events in `seq` order, beginning from `states`. Raises NotPriced."""
    after = dict(states or {})
    for usage in usages:
        group = component.group_of(usage)
        after[group] = component.advance(after.get(group, EMPTY), usage)
    return after
