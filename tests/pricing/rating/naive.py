"""A second, slow reading of RATING.md over fractions: the judge of the engine in the property tests.

It keeps whole event lists instead of states, walks every tier, and shares no code with the engine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor
from typing import Any

Component = dict[str, Any]
Event = dict[str, Any]
EIGHTEEN = 10**18


def amount(component: Component, events: list[Event], *, is_close: bool) -> Fraction:
    """What a component comes to after all events, at the close or while the period runs."""
    dimensions = list(component.get("group_by") or [])
    if component["model"] == "matrix":
        dimensions += component["dimensions"]
    groups: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
    for event in events:
        values = event.get("dimensions") or {}
        groups[tuple(values.get(name) for name in dimensions)].append(event)
    result = sum((half_up(group_price(component, group)) for group in groups.values()), Fraction(0))
    is_unused = all(billable(component, total(group)) == 0 for group in groups.values())
    if is_close and is_unused and component.get("bill_zero_usage") and "tiers" in component:
        result += number(component["tiers"][0].get("flat_fee"))
    result = half_up(result - result * number(component.get("discount_percent")) / 100)
    if component.get("maximum") is not None:
        result = min(result, number(component["maximum"]))
    return max(result, number(component.get("minimum"))) if is_close else result


def group_price(component: Component, events: list[Event]) -> Fraction:
    """F of one group before rounding."""
    if total(events) < 0:
        return Fraction(0)
    by_event: dict[str, Callable[[Component, list[Event]], Fraction]] = {
        "percentage": percentage,
        "cost_plus": cost_plus,
    }
    if component["model"] in by_event:
        return max(by_event[component["model"]](component, events), Fraction(0))
    if component["model"] == "matrix":
        return total(events) * matrix_price(component, events[0].get("dimensions") or {})
    quantity = billable(component, total(events))
    return Fraction(0) if quantity == 0 else quantity_price(component, quantity)


def billable(component: Component, quantity: Fraction) -> Fraction:
    if quantity <= 0:
        return Fraction(0)
    rounding = component.get("quantity_rounding")
    if rounding:
        to = number(rounding["to"])
        steps = quantity / to
        whole = {"up": ceil(steps), "down": floor(steps), "half_up": floor(steps + Fraction(1, 2))}
        quantity = to * whole[rounding["mode"]]
    return max(quantity - number(component.get("included")), Fraction(0))


def quantity_price(component: Component, quantity: Fraction) -> Fraction:
    if component["model"] == "per_unit":
        return quantity * number(component["unit_price"])
    if component["model"] == "package":
        return ceil(quantity / number(component["package_size"])) * number(component["package_price"])
    price, lower = Fraction(0), Fraction(0)
    for tier in component["tiers"]:
        upper = quantity if tier["up_to"] is None else number(tier["up_to"])
        rate = number(tier.get("unit_price", tier.get("rate")))
        if lower < quantity:
            price += (min(quantity, upper) - lower) * rate + number(tier.get("flat_fee"))
        if component["model"] == "volume" and lower < quantity <= upper:
            return quantity * rate + number(tier.get("flat_fee"))
        lower = upper
    return price


def percentage(component: Component, events: list[Event]) -> Fraction:
    price, used, transactions = Fraction(0), Fraction(0), 0
    for event in events:
        value = number(event["value"])
        if value >= 0:
            price += one_transaction(component, transactions, used, value)
            transactions, used = transactions + 1, used + value
        else:
            transactions, used = transactions - 1, used + value
            price -= one_transaction(component, transactions, used, -value)
    return price


def one_transaction(component: Component, transactions: int, used: Fraction, value: Fraction) -> Fraction:
    free_transactions, free_amount = component.get("free_transactions"), component.get("free_amount")
    has_allowance = free_transactions is not None or free_amount is not None
    is_over = (free_transactions is not None and transactions >= int(free_transactions)) or (
        free_amount is not None and used >= number(free_amount)
    )
    if has_allowance and not is_over:
        beyond = Fraction(0) if free_amount is None else used + value - number(free_amount)
        if beyond <= 0:
            return Fraction(0)
        value = beyond
    price = value * number(component["rate"]) + number(component.get("fixed_fee"))
    if component.get("min_per_transaction") is not None:
        price = max(price, number(component["min_per_transaction"]))
    if component.get("max_per_transaction") is not None:
        price = min(price, number(component["max_per_transaction"]))
    return price


def cost_plus(component: Component, events: list[Event]) -> Fraction:
    return sum((number(event["cost"]) * (1 + number(component["markup"])) for event in events), Fraction(0))


def matrix_price(component: Component, dimensions: dict[str, Any]) -> Fraction:
    best: tuple[int, Any] = (0, component.get("default_unit_price"))
    for cell in component["cells"]:
        is_match = all(dimensions.get(name) == value for name, value in cell["match"].items())
        if is_match and len(cell["match"]) > best[0]:
            best = (len(cell["match"]), cell["unit_price"])
    return number(best[1])


def total(events: list[Event]) -> Fraction:
    return sum((number(event["value"]) for event in events), Fraction(0))


def number(text: str | None) -> Fraction:
    return Fraction(0) if text is None else Fraction(text)


def half_up(value: Fraction) -> Fraction:
    """To 18 decimals, ties away from zero."""
    sign = -1 if value < 0 else 1
    return sign * Fraction(floor(abs(value) * EIGHTEEN + Fraction(1, 2)), EIGHTEEN)
