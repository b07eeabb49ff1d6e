"""From one event to one charge, and from a list of events to the states of a segment. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from msgspec import Struct

from core.numbers import CONTEXT
from pricing.rating.component import Component
from pricing.rating.groups import Group
from pricing.rating.state import EMPTY, State, Usage

States = dict[Group, State]


class Rated(Struct, frozen=True):
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
    amount = component.change(subtotal, subtotal_after)
    return Rated(after, subtotal_after, amount, state.quantity, after.quantity)


def rate_alone(component: Component, state: State, usage: Usage) -> Rated:
    """`rate_event` for a component without groups: its one group is all of its subtotal. Raises NotPriced."""
    after = component.advance(state, usage)
    subtotal = component.f_group(after)
    amount = component.change(component.f_group(state), subtotal)
    return Rated(after, subtotal, amount, state.quantity, after.quantity)


def rate_change(component: Component, state: State, subtotal: Decimal, after: State) -> Rated:
    """Rate the step of a group from `state` to `after`, whatever made it: F after less F before.

    `subtotal` is the sum of F over all groups before. A reversal is such a step: its amount is mostly
    negative, and positive where what is left costs more (a cheaper volume tier is lost).
    """
    change = CONTEXT.subtract(component.f_group(after), component.f_group(state))
    subtotal_after = CONTEXT.add(subtotal, change)
    amount = component.change(subtotal, subtotal_after)
    return Rated(after, subtotal_after, amount, state.quantity, after.quantity)


class History:
    """The events that a group's state was folded from, for components that are `is_order_bound`.

    Taking the latest back is cheap; any other means to fold again what came after it.
    """

    __slots__ = ("_component", "_states", "_usages")

    def __init__(self, component: Component) -> None:
        self._component = component
        self._usages: list[tuple[Any, Usage]] = []
        self._states: list[State] = []

    def add(self, name: Any, usage: Usage) -> None:
        """One more event, by a name of its own, in `seq` order."""
        after = self._component.advance(self.state, usage)
        self._usages.append((name, usage))
        self._states.append(after)

    @property
    def state(self) -> State:
        """The state that all of them make."""
        return self._states[-1] if self._states else EMPTY

    def without(self, name: Any) -> State:
        """The state that all the other events make."""
        at = self._place(name)
        state = self._states[at - 1] if at else EMPTY
        for _, usage in self._usages[at + 1 :]:
            state = self._component.advance(state, usage)
        return state

    def remove(self, name: Any) -> None:
        """Forget an event."""
        at = self._place(name)
        later = self._usages[at + 1 :]
        del self._usages[at:], self._states[at:]
        for other, usage in later:
            self.add(other, usage)

    def _place(self, name: Any) -> int:
        for at in range(len(self._usages) - 1, -1, -1):
            if self._usages[at][0] == name:
                return at
        raise KeyError(name)


def rate_events(component: Component, usages: Iterable[Usage], states: States | None = None) -> States:
    """The states of all groups after events in `seq` order, beginning from `states`. Raises NotPriced."""
    after = dict(states or {})
    for usage in usages:
        group = component.group_of(usage)
        after[group] = component.advance(after.get(group, EMPTY), usage)
    return after
