"""A plan file beside what its usage costs: cost per unit, break-even, margin at the price, a sample month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

from accounts.models import Currency
from billing.simulations.metrics import unit_costs_of
from core.currencies import decimals_with_units
from core.errors import TollgateError
from core.numbers import CONTEXT, ONE, ZERO, plain
from metering.models import Meter
from pricing.catalog import PlanTerms
from pricing.rating import preview
from pricing.sheet import ComponentSheet, component_sheets
from pricing.simulation.bills import MINIMUM_SPEND
from pricing.simulation.unit_costs import UnitCosts

BY_QUANTITY: Final = frozenset({"per_unit", "graduated", "volume", "package", "graduated_percentage"})
"""Models that price a bare quantity: the others ask for events or dimensions."""


@dataclass(frozen=True, slots=True)
class ComponentEconomics:
    """A priced line and what its unit costs, over the last 30 days and per customer.

    `typical` is what a customer used of it on average; `price` what a unit of that would bring on average
    at the price being typed. None: nothing was used, or the model does not price a bare quantity. `shared`
    are the components that earn on the same calls; `margin` is then that of all of them together, because
    the cost of a call is not one component's alone.
    """

    sheet: ComponentSheet
    meter: Meter | None
    costs: UnitCosts | None
    typical: Decimal | None
    price: Decimal | None
    shared: tuple[str, ...] = ()
    margin: Decimal | None = None

    @property
    def revenue(self) -> Decimal | None:
        """What all that was used would bring at that price."""
        if self.costs is None or self.price is None:
            return None
        return CONTEXT.multiply(self.price, self.costs.quantity)

    @property
    def per(self) -> Decimal:
        """How many units costs are said for: as many as the price is."""
        return self.sheet.per


@dataclass(frozen=True, slots=True)
class SampleMonth:
    """One customer's period in numbers: (line key, quantity, amount) and the total, as the engine says."""

    quantities: Mapping[str, Decimal]
    lines: tuple[tuple[str, Decimal | None, Decimal], ...]
    total: Decimal


@dataclass(frozen=True, slots=True)
class PlanEconomics:
    """A plan of a file with the figures that go with it."""

    terms: PlanTerms
    components: tuple[ComponentEconomics, ...]
    sample: SampleMonth | None
    problem: str = ""


def plan_economics(terms: PlanTerms, asked: Mapping[str, str], now: datetime) -> PlanEconomics:
    """The figures of a plan; `asked` are quantities of a sample month by component key, as typed."""
    sheets = component_sheets(terms)
    costs = unit_costs_of({sheet.meter for sheet in sheets}, terms.currency, now)
    meters = {meter.key: meter for meter in Meter.objects.filter(key__in=terms.meters)}
    units = dict(Currency.objects.values_list("code", "decimals"))
    typicals = {sheet.key: _typical(sheet, costs.get(sheet.meter)) for sheet in sheets}
    document = {"currency": terms.currency, "components": terms.content().get("components", [])}
    found = []
    for sheet in sheets:
        typical = typicals[sheet.key]
        price = None if typical is None else _price(document, sheet.key, typical, units)
        found.append(
            ComponentEconomics(sheet, meters.get(sheet.meter), costs.get(sheet.meter), typical, price)
        )
    components = tuple(_with_margin(part, found) for part in found)
    quantities = {
        key: _asked(asked.get(key), typical or ZERO)
        for key, typical in typicals.items()
        if _is_by_quantity(sheets, key)
    }
    try:
        sample = _sample(document | _fees(terms), quantities, units)
    except TollgateError as error:
        return PlanEconomics(terms, components, None, error.message)
    return PlanEconomics(terms, components, _with_minimum(sample, terms.minimum_spend))


def _with_margin(part: ComponentEconomics, all_parts: list[ComponentEconomics]) -> ComponentEconomics:
    """The component with the margin of all that earn on the calls that it counts."""
    together = [
        one for one in all_parts if one.meter and part.meter and one.meter.event == part.meter.event
    ] or [part]
    revenues = [one.revenue for one in together if one.revenue is not None]
    costs = [one.costs.cost for one in together if one.costs is not None]
    if part.revenue is None or not costs:
        return part
    revenue = sum(revenues, ZERO)
    margin = CONTEXT.divide(CONTEXT.subtract(revenue, max(costs)), revenue) if revenue else None
    return replace(part, shared=tuple(one.sheet.key for one in together if one is not part), margin=margin)


def _is_by_quantity(sheets: list[ComponentSheet], key: str) -> bool:
    return any(sheet.key == key and sheet.model in BY_QUANTITY for sheet in sheets)


def _typical(sheet: ComponentSheet, costs: UnitCosts | None) -> Decimal | None:
    """What a customer used on average, in whole units."""
    if costs is None or not costs.customers or sheet.model not in BY_QUANTITY:
        return None
    mean = CONTEXT.divide(costs.quantity, Decimal(costs.customers))
    return max(ONE, mean.quantize(ONE, ROUND_HALF_UP, CONTEXT))


def _price(
    document: Mapping[str, Any], key: str, quantity: Decimal, units: Mapping[str, int]
) -> Decimal | None:
    """What a unit costs on average when a customer uses so many in a period."""
    try:
        sample = _sample(document, {key: quantity}, units)
    except TollgateError:
        return None
    amount = next(amount for line, _, amount in sample.lines if line == key)
    return CONTEXT.divide(amount, quantity)


def _sample(
    document: Mapping[str, Any], quantities: Mapping[str, Decimal], units: Mapping[str, int]
) -> SampleMonth:
    usage = {key: {"quantity": plain(quantity)} for key, quantity in quantities.items()}
    answer = preview({**document, "usage": usage}, decimals_with_units(dict(units)))
    lines = tuple(
        (line["key"], Decimal(line["quantity"]) if "quantity" in line else None, Decimal(line["amount"]))
        for line in answer["lines"]
    )
    return SampleMonth(dict(quantities), lines, Decimal(answer["total"]))


def _with_minimum(sample: SampleMonth, minimum: Decimal) -> SampleMonth:
    """The sample with what is missing up to the plan's minimum spend."""
    if sample.total >= minimum:
        return sample
    missing = CONTEXT.subtract(minimum, sample.total)
    return replace(sample, lines=(*sample.lines, (MINIMUM_SPEND, None, missing)), total=minimum)


def _fees(terms: PlanTerms) -> dict[str, Any]:
    fees = terms.content().get("base_fees")
    return {"base_fees": fees} if fees else {}


def _asked(text: str | None, otherwise: Decimal) -> Decimal:
    """A typed quantity; what makes no sense is what a customer used on average."""
    try:
        number = Decimal(text or "")
    except ArithmeticError:
        return otherwise
    return number if number.is_finite() and 0 <= number < Decimal(10) ** 18 else otherwise
