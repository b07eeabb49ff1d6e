"""How the amount of one line of a charge came about, from what is stored with it. Pure.

For models that price a quantity, F depends on the quantity alone, so the two positions stored with a line
are its states before and after. A percentage is worked out from its one transaction, cost_plus from the cost
of its event. What the stored amount has beyond that (a maximum that other groups used up) is shown as such.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from core.numbers import CONTEXT, ZERO
from pricing.rating.component import Component
from pricing.rating.explain import DISCOUNT, MAXIMUM, ROUNDING, explain_change
from pricing.rating.groups import Group
from pricing.rating.models import NotPriced
from pricing.rating.models.percentage import Percentage
from pricing.rating.modifiers import ByQuantity
from pricing.rating.rows import Row
from pricing.rating.state import EMPTY, State, Usage

INCLUDED: Final = "included"
ELSEWHERE: Final = "elsewhere"


@dataclass(frozen=True, slots=True)
class Step:
    """One step: `quantity` at a price or rate (and a flat fee) makes `amount`.

    `kind`: `units` for a row of the model, else the name of a modifier. `above` and `up_to`: the positions of
    the first and last unit of a graduated tier's row, counted after what is free.
    """

    kind: str
    amount: Decimal
    quantity: Decimal | None = None
    tier: int | None = None
    unit_price: Decimal | None = None
    rate: Decimal | None = None
    flat_fee: Decimal = ZERO
    above: Decimal | None = None
    up_to: Decimal | None = None


@dataclass(frozen=True, slots=True)
class TierRow:
    """A tier of the component: units in (above, up_to] at a price or rate. `units`: this charge's in it."""

    number: int
    above: Decimal
    up_to: Decimal | None
    unit_price: Decimal | None
    rate: Decimal | None
    flat_fee: Decimal
    units: Decimal


@dataclass(frozen=True, slots=True)
class LineSteps:
    """The steps of a line, which sum exactly to its amount, and all tiers of its component.

    `is_repriced`: a volume tier was reached, so that earlier units count at another price too. `is_whole`:
    False when the steps had to be completed by a remainder.
    """

    steps: Sequence[Step]
    tiers: Sequence[TierRow]
    is_repriced: bool
    is_whole: bool


def line_steps(component: Component, line: Mapping[str, Any], cost: Decimal | None) -> LineSteps:
    """Explain a stored line by its compiled component; `cost` is that of the event, in its currency."""
    amount = Decimal(line["amount"])
    steps, is_repriced = _steps(component, line, cost)
    explained = ZERO
    for step in steps:
        explained = CONTEXT.add(explained, step.amount)
    rest = CONTEXT.subtract(amount, explained)
    if rest:
        steps = _completed(steps, MAXIMUM if component.modifiers.maximum is not None else ELSEWHERE, rest)
    return LineSteps(steps, _tiers(component, line, steps), is_repriced, not rest)


def _completed(steps: Sequence[Step], kind: str, rest: Decimal) -> list[Step]:
    """The steps with a remainder, which joins the modifier of its kind if there is one already."""
    same = [step.amount for step in steps if step.kind == kind]
    total = CONTEXT.add(same[0], rest) if same else rest
    return [*(step for step in steps if step.kind != kind), *([Step(kind, total)] if total else [])]


def _steps(component: Component, line: Mapping[str, Any], cost: Decimal | None) -> tuple[list[Step], bool]:
    if isinstance(component.pricing, Percentage):
        return _percentage_steps(component, component.pricing, line), False
    before, after = (_states(component, line, end, cost) for end in ("from", "to"))
    change = explain_change(component, after, before)
    steps = [_unit_step(component, row, line) for row in change.rows]
    if change.included:
        steps.insert(0, Step(INCLUDED, ZERO, quantity=change.included))
    names = (DISCOUNT, MAXIMUM, ROUNDING)
    steps += [Step(name, change.modifiers[name]) for name in names if change.modifiers.get(name)]
    is_repriced = any(row.quantity < 0 for row in change.rows) and Decimal(line["quantity"]) > 0
    return steps, is_repriced


def _states(
    component: Component, line: Mapping[str, Any], end: str, cost: Decimal | None
) -> dict[Group, State]:
    """The state of the line's group before ("from") or after ("to") the event, as far as F depends on it."""
    quantity = Decimal(line["position"][end])
    group: Group = tuple(json.loads(line["dimensions"])) if component.group_dimensions else ()
    dimensions = dict(zip(component.group_dimensions, group, strict=True))
    is_costed = component.model_name == "cost_plus"
    if is_costed and end == "from":
        return {group: EMPTY}
    usage = Usage(quantity, dimensions, cost)
    try:
        state = component.pricing.fold(EMPTY, usage, Decimal(line["quantity"]) if is_costed else quantity, 1)
    except NotPriced:
        state = EMPTY
    return {group: state}


def _unit_step(component: Component, row: Row, line: Mapping[str, Any]) -> Step:
    above = up_to = None
    if row.tier is not None and component.model_name.startswith("graduated") and row.quantity > 0:
        above, up_to = _places(component, row.tier, line)
    return Step(
        "units", row.amount, row.quantity, row.tier, row.unit_price, row.rate, row.flat_fee, above, up_to
    )


def _places(component: Component, tier: int, line: Mapping[str, Any]) -> tuple[Decimal, Decimal]:
    """Which units of the period a graduated row holds."""
    pricing: Any = component.pricing
    tiers = pricing.model.tiers
    lower = tiers.tiers[tier - 1].above
    upper = tiers.bounds[tier - 1] if tier <= len(tiers.bounds) else None
    first = pricing.billable(Decimal(line["position"]["from"]))
    last = pricing.billable(Decimal(line["position"]["to"]))
    return max(first, lower), last if upper is None else min(last, upper)


def _percentage_steps(component: Component, model: Percentage, line: Mapping[str, Any]) -> list[Step]:
    """One transaction; whether it fell in the allowance is told by the amount that it came to."""
    value, amount = Decimal(line["quantity"]), Decimal(line["amount"])
    before = Decimal(line["position"]["from"] if value >= 0 else line["position"]["to"])
    sign = 1 if value >= 0 else -1
    numbers = [0] if model.free_transactions is None else [model.free_transactions, 0]
    candidates = [model.transaction(number, before, value.copy_abs()) for number in numbers]
    wanted = amount.copy_abs()
    charged, price = next(
        (found for found in candidates if component.total(found[1]) == wanted), candidates[0]
    )
    free = CONTEXT.subtract(value.copy_abs(), charged)
    steps = [Step(INCLUDED, ZERO, quantity=CONTEXT.multiply(sign, free))] if free else []
    if charged or price:
        fee = CONTEXT.subtract(price, CONTEXT.multiply(charged, model.rate))
        has_bounds = bool(model.min_per_transaction) or model.max_per_transaction is not None
        steps.append(
            Step(
                "units",
                CONTEXT.multiply(sign, price),
                quantity=CONTEXT.multiply(sign, charged),
                rate=model.rate,
                flat_fee=ZERO if has_bounds else CONTEXT.multiply(sign, fee),
            )
        )
    discount = CONTEXT.subtract(component.modifiers.discounted(price), price)
    return [*steps, Step(DISCOUNT, CONTEXT.multiply(sign, discount))] if discount else steps


def _tiers(component: Component, line: Mapping[str, Any], steps: Sequence[Step]) -> list[TierRow]:
    pricing = component.pricing
    tiers: Any = getattr(pricing.model, "tiers", None) if isinstance(pricing, ByQuantity) else None
    if tiers is None:
        return []
    units: dict[int, Decimal] = {}
    for step in steps:
        if step.tier is not None and step.quantity is not None:
            units[step.tier] = CONTEXT.add(units.get(step.tier, ZERO), step.quantity)
    return [
        TierRow(
            tier.number,
            tier.above,
            upper,
            tier.price if tiers.price_name == "unit_price" else None,
            tier.price if tiers.price_name == "rate" else None,
            tier.flat_fee,
            units.get(tier.number, ZERO),
        )
        for tier, upper in zip(tiers.tiers, (*tiers.bounds, None), strict=True)
    ]
