"""The model's prices: what a component costs for the events of a segment, after RATING.md, sections 2 and 3.

F is a function of the list of events that stand; a charge is F with the event less F without it. Nothing is
kept beside the list, so there is nothing that could drift.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal
from typing import Any

Component = dict[str, Any]
Event = dict[str, Any]
"""An event as it is sent."""

ZERO = Decimal(0)
QUANTUM = Decimal("1e-18")
METERS: dict[str, tuple[str, str, str | None]] = {
    "tokens": ("chat", "sum", "tokens"),
    "peak": ("chat", "max", "tokens"),
    "people": ("chat", "unique", "person"),
    "images": ("image", "count", None),
}
"""Which event a meter hears, how it aggregates, and what."""


def hears(meter: str, event: Event) -> bool:
    """Whether the meter counts such an event."""
    return bool(METERS[meter][0] == event["event"])


def quantity_of(meter: str, events: Sequence[Event]) -> Decimal:
    """What the meter makes of these events."""
    _, aggregation, name = METERS[meter]
    heard = [event["properties"].get(name) for event in events if hears(meter, event)]
    if aggregation == "count":
        return Decimal(len(heard))
    if aggregation == "unique":
        return Decimal(len(set(heard)))
    values = [Decimal(value) for value in heard]
    return max(values, default=ZERO) if aggregation == "max" else sum(values, ZERO)


def price(component: Component, events: Sequence[Event]) -> Decimal:
    """F of these events, rounded half up to 18 decimals; without the minimum, which comes at the close."""
    quantity = quantity_of(component["meter"], events)
    billable = max(ZERO, quantity - Decimal(component.get("included", 0)))
    amount = _MODELS[component["model"]](component, billable) if billable else ZERO
    amount *= 1 - Decimal(component.get("discount_percent", 0)) / 100
    if "maximum" in component:
        amount = min(amount, Decimal(component["maximum"]))
    return rounded(amount)


def rounded(amount: Decimal) -> Decimal:
    """Half up to 18 decimals."""
    return amount.quantize(QUANTUM, ROUND_HALF_UP)


def _per_unit(component: Component, quantity: Decimal) -> Decimal:
    return quantity * Decimal(component["unit_price"])


def _package(component: Component, quantity: Decimal) -> Decimal:
    packages = (quantity / Decimal(component["package_size"])).to_integral_value(ROUND_CEILING)
    return packages * Decimal(component["package_price"])


def _graduated(component: Component, quantity: Decimal) -> Decimal:
    """Each unit at its own tier's price; a tier's flat fee once it is entered."""
    amount = below = ZERO
    for tier in component["tiers"]:
        if quantity <= below:
            break
        top = quantity if tier["up_to"] is None else min(quantity, Decimal(tier["up_to"]))
        amount += (top - below) * Decimal(tier["unit_price"]) + Decimal(tier.get("flat_fee", 0))
        below = top if tier["up_to"] is None else Decimal(tier["up_to"])
    return amount


def _volume(component: Component, quantity: Decimal) -> Decimal:
    """All units at the price of the tier that the quantity falls in."""
    tier = next(t for t in component["tiers"] if t["up_to"] is None or quantity <= Decimal(t["up_to"]))
    return quantity * Decimal(tier["unit_price"]) + Decimal(tier.get("flat_fee", 0))


_MODELS = {"per_unit": _per_unit, "package": _package, "graduated": _graduated, "volume": _volume}
