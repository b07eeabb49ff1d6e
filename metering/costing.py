"""What the vendors take for an event: given on it, from cost rates, or from the vendor price table.

An unknown cost is None and never 0: a margin counts how much of it is known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts.models import Currency
from core.numbers import CONTEXT, ZERO, plain, round_amount
from core.sql import open_transaction, still_holds
from metering.aggregation import parse_filter
from metering.aggregation.filters import Condition, Predicate, join_all
from metering.aggregation.paths import Properties, compile_path
from metering.aggregation.values import number_of
from metering.event_values import CostPart
from metering.events import EventInput
from metering.exchange import ExchangeTable
from metering.models import CostRate, ExchangeRate
from metering.vendor_costs import cost_part

PriceTable = Callable[[Mapping[str, Any], datetime], CostPart | None]
Parts = list[dict[str, Any]]
_SeriesKey = tuple[str, str, str | None, tuple[Condition, ...]]


@dataclass(frozen=True, slots=True)
class RateLine:
    """One effective stretch of a cost rate: `unit_cost` in `currency` in `[starts_at, ends_at)`."""

    unit_cost: Decimal
    currency: str
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class RateSeries:
    """One vendor's lines for one property of an event, latest first: of two that overlap the later counts.

    `quantity` reads what the unit cost is multiplied with; None where the event has no such number.
    """

    vendor: str
    matches: Predicate | None
    quantity: Callable[[Properties], Decimal | None]
    lines: tuple[RateLine, ...]

    def part_of(self, event: EventInput) -> CostPart | None:
        """What this vendor takes for the event; None when the series has nothing to say on it."""
        if self.matches is not None and not self.matches(event.properties):
            return None
        for line in self.lines:
            if line.starts_at <= event.occurred_at and (
                line.ends_at is None or event.occurred_at < line.ends_at
            ):
                quantity = self.quantity(event.properties)
                if quantity is None:
                    return None
                amount = round_amount(CONTEXT.multiply(quantity, line.unit_cost))
                return CostPart(self.vendor, amount, line.currency)
        return None


class CostBook:
    """All that costs are computed from, at one config version, as `read_in` saw it; immutable."""

    __slots__ = ("_price_table", "_rates", "exchange", "read_in")

    def __init__(
        self,
        rates: Mapping[str, tuple[RateSeries, ...]],
        exchange: ExchangeTable,
        price_table: PriceTable | None = None,
    ) -> None:
        self._rates = rates
        self._price_table = price_table
        self.exchange = exchange
        self.read_in = open_transaction()

    def cost_of(self, event: EventInput, currency: str) -> tuple[Parts | None, Decimal | None]:
        """The parts of an event's cost as JSON, and their total in `currency` to 18 decimals.

        Parts None: unknown. Total None: unknown, or a part cannot be converted at `occurred_at`. Given costs
        win over rates, rates over the price table. `costs: []` is a known 0.
        """
        if event.costs is not None:
            return self._total(event.costs, "given", event.occurred_at, currency)
        series = self._rates.get(event.event)
        if series is not None:
            parts = [part for one in series if (part := one.part_of(event)) is not None]
            if parts:
                return self._total(parts, "rate", event.occurred_at, currency)
        if self._price_table is not None:
            listed = self._price_table(event.properties, event.occurred_at)
            if listed is not None:
                return self._total((listed,), "price_table", event.occurred_at, currency)
        return None, None

    def _total(
        self, parts: Iterable[CostPart], source: str, at: datetime, currency: str
    ) -> tuple[Parts, Decimal | None]:
        total: Decimal | None = ZERO
        listed: Parts = []
        for part in parts:
            listed.append(
                {
                    "vendor": part.vendor,
                    "amount": plain(part.amount),
                    "currency": part.currency,
                    "source": source,
                }
            )
            if total is not None:
                converted = self.exchange.convert(part.amount, part.currency, currency, at)
                total = None if converted is None else CONTEXT.add(total, converted)
        return listed, total


_cached: tuple[int, CostBook] | None = None


def cost_book(config_version: int) -> CostBook:
    """The cost book at the installation's config version, from this process's memory when it is the same."""
    global _cached
    held = _cached
    if held is None or held[0] != config_version or not still_holds(held[1].read_in):
        held = (config_version, load_cost_book())
        _cached = held
    return held[1]


def load_cost_book() -> CostBook:
    """Read cost rates, exchange rates and units of credits from the database."""
    return CostBook(compile_rates(CostRate.objects.all()), load_exchange_table(), cost_part)


def load_exchange_table() -> ExchangeTable:
    """Read exchange rates and units of credits from the database."""
    return ExchangeTable(
        ExchangeRate.objects.values_list("base", "quote", "starts_at", "rate"),
        {unit.code: (unit.price, unit.price_currency) for unit in Currency.objects.all()},
    )


def compile_rates(rates: Iterable[CostRate]) -> dict[str, tuple[RateSeries, ...]]:
    """Stored cost rates by event name, ready to be asked."""
    grouped: defaultdict[_SeriesKey, list[CostRate]] = defaultdict(list)
    for rate in rates:
        grouped[rate.event, rate.vendor, rate.property_path, parse_filter(rate.filter)].append(rate)
    series: defaultdict[str, list[RateSeries]] = defaultdict(list)
    for (event, vendor, path, conditions), same in grouped.items():
        same.sort(key=lambda rate: (rate.starts_at, rate.pk or 0), reverse=True)
        lines = tuple(RateLine(rate.unit_cost, rate.currency, rate.starts_at, rate.ends_at) for rate in same)
        series[event].append(RateSeries(vendor, join_all(conditions), _compile_quantity(path), lines))
    return {event: tuple(found) for event, found in series.items()}


def _compile_quantity(path: str | None) -> Callable[[Properties], Decimal | None]:
    if path is None:
        return lambda properties: Decimal(1)
    read = compile_path(path)
    return lambda properties: number_of(read(properties))
