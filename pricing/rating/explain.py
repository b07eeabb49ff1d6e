"""The line of a component: its amount, and the breakdown that sums exactly to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from core.numbers import CONTEXT, ZERO, plain, round_money
from pricing.rating.component import Component
from pricing.rating.groups import Group, sort_key
from pricing.rating.rows import Row, subtract, total_amount
from pricing.rating.state import State

INCLUDED: Final = "included"
DISCOUNT: Final = "discount"
MAXIMUM: Final = "maximum"
MINIMUM: Final = "minimum"
ROUNDING: Final = "rounding"


@dataclass(frozen=True, slots=True)
class Line:
    """One component's line. `modifiers` are those that had an effect, in the order in which they apply.

    `included` is the quantity that was free; its modifier row has the amount 0, because the rows above it
    show what was left to pay. `rounding` is what rounding F to 18 decimals changed.
    """

    key: str
    quantity: Decimal
    amount: Decimal
    rows: list[Row]
    included: Decimal
    modifiers: dict[str, Decimal]

    def breakdown(self) -> list[dict[str, Any]]:
        """The rows, then the modifiers, as RATING.md section 4 writes them."""
        shown = [row.as_dict() for row in self.rows]
        if self.included:
            shown.append({"modifier": INCLUDED, "amount": "0"})
        shown.extend(
            {"modifier": name, "amount": plain(amount)} for name, amount in self.modifiers.items() if amount
        )
        return shown

    def as_dict(self, decimals: int) -> dict[str, Any]:
        """The line as RATING.md section 4 writes it; `decimals` are the currency's."""
        return {
            "key": self.key,
            "quantity": plain(self.quantity),
            "amount": plain(self.amount),
            "rounded": round_money(self.amount, decimals),
            "breakdown": self.breakdown(),
        }


def explain_close(
    component: Component, states: Mapping[Group, State], minimum: Decimal | None = None
) -> Line:
    """The line of a whole period as it stands at its close; `minimum` in place of the plan's if given."""
    rows = _rows(component, states)
    zero_usage_row = component.zero_usage_row(states.values())
    if zero_usage_row is not None and zero_usage_row.amount:
        rows.append(zero_usage_row)
    line = _line(component, states, rows, component.zero_usage_fee(states.values()))
    amount = component.close(states.values(), minimum)
    top_up = {MINIMUM: CONTEXT.subtract(amount, line.amount)}
    return replace(line, amount=amount, modifiers=line.modifiers | top_up)


def explain_change(component: Component, after: Mapping[Group, State], before: Mapping[Group, State]) -> Line:
    """The line of what happened between two moments of a running period: no minimum, no zero-usage fee.

    With nothing `before`, the line of the period so far.
    """
    new = _line(component, after, _rows(component, after), ZERO)
    old = _line(component, before, _rows(component, before), ZERO)
    return Line(
        key=component.key,
        quantity=CONTEXT.subtract(new.quantity, old.quantity),
        amount=CONTEXT.subtract(new.amount, old.amount),
        rows=subtract(new.rows, old.rows),
        included=CONTEXT.subtract(new.included, old.included),
        modifiers={
            name: CONTEXT.subtract(amount, old.modifiers[name]) for name, amount in new.modifiers.items()
        },
    )


def _rows(component: Component, states: Mapping[Group, State]) -> list[Row]:
    """The rows of all groups; a group whose total is negative has none."""
    rows: list[Row] = []
    for group in sorted(states, key=sort_key):
        state = states[group]
        if state.quantity < 0 or state.amount < 0:
            continue
        dimensions = tuple(zip(component.group_dimensions, group, strict=True))
        rows.extend(
            row._replace(dimensions=dimensions)
            for row in component.pricing.rows(state, dict(dimensions))
            if row.quantity or row.amount
        )
    return rows


def _line(
    component: Component, states: Mapping[Group, State], rows: list[Row], zero_usage_fee: Decimal
) -> Line:
    """The line of a running period (plus a fee for no usage), with every modifier, be it 0, in its order."""
    quantity = included = ZERO
    for state in states.values():
        quantity = CONTEXT.add(quantity, state.quantity)
        if state.quantity > 0:
            included = CONTEXT.add(included, component.pricing.free_quantity(state))
    subtotal = CONTEXT.add(component.subtotal(states.values()), zero_usage_fee)
    discounted = component.modifiers.discounted(subtotal)
    amount = component.modifiers.capped(discounted)
    modifiers = {
        DISCOUNT: CONTEXT.subtract(discounted, subtotal),
        MAXIMUM: CONTEXT.subtract(amount, discounted),
        MINIMUM: ZERO,
        ROUNDING: CONTEXT.subtract(subtotal, total_amount(rows)),
    }
    return Line(component.key, quantity, amount, rows, included, modifiers)
