"""Price lists of the vendor price table, compiled: what single tokens cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from genai_prices import Usage
from genai_prices.data_units import unit_data
from genai_prices.types import ModelPrice, TieredPrices
from genai_prices.units import UnitDef, UnitRegistry

from core.numbers import CONTEXT, ZERO, round_amount

Counts = dict[str, Decimal]

UNITS: Final = UnitRegistry(unit_data)
_INPUT, _OUTPUT = "input_tokens", "output_tokens"
_CACHED: Final = ("cache_read_tokens", "cache_write_tokens")
TOKEN_COUNTS: Final = frozenset({_INPUT, _OUTPUT, *_CACHED})


@dataclass(frozen=True, slots=True)
class CompiledPrices:
    """One price list of the table: what is priced, and the prices of single tokens.

    A price is its tiers as (more input tokens than, price of every token), highest first.
    """

    priced: frozenset[str]  # the counts that have a price, their own or one that includes them
    tokens: dict[str, tuple[tuple[Decimal, Decimal], ...]]
    is_quick: bool

    def cost_of(self, counts: Counts) -> Decimal | None:
        """The cost of counts that are all in TOKEN_COUNTS; None when they contradict each other."""
        given = counts.get(_INPUT)
        rest = ZERO if given is None else given
        total = ZERO
        for name in _CACHED:
            count = counts.get(name)
            if not count:
                continue
            if given is None:
                return None
            if name in self.tokens:
                rest = CONTEXT.subtract(rest, count)
                total = CONTEXT.fma(count, self._price(name, given), total)
        if rest < ZERO:
            return None
        if given:
            total = CONTEXT.fma(rest, self._price(_INPUT, given), total)
        produced = counts.get(_OUTPUT)
        if produced:
            total = CONTEXT.fma(produced, self._price(_OUTPUT, given or ZERO), total)
        return round_amount(total)

    def _price(self, name: str, input_tokens: Decimal) -> Decimal:
        for above, price in self.tokens.get(name, ()):
            if input_tokens > above:
                return price
        return ZERO


_compiled: Final[dict[int, tuple[ModelPrice, CompiledPrices]]] = {}


def compile_prices(prices: ModelPrice) -> CompiledPrices:
    """The compiled form of a price list, made once: the lists belong to the table and stay as they are."""
    known = _compiled.get(id(prices))
    if known is None:
        known = _compiled[id(prices)] = (prices, _compile_now(prices))
    return known[1]


def _compile_now(prices: ModelPrice) -> CompiledPrices:
    units = [unit for unit in UNITS.units.values() if getattr(prices, unit.price_key) is not None]
    names = {unit.usage_key for unit in units}
    priced = {name for name in UNITS.units if name in names or names & UNITS.ancestor_usage_keys(name)}
    tokens = {unit.usage_key: _tiers(prices, unit) for unit in units if unit.usage_key in TOKEN_COUNTS}
    return CompiledPrices(frozenset(priced), tokens, "requests" not in names and _is_consistent(prices))


def _tiers(prices: ModelPrice, unit: UnitDef) -> tuple[tuple[Decimal, Decimal], ...]:
    price = getattr(prices, unit.price_key)
    steps = [(Decimal(-1), price)]
    if isinstance(price, TieredPrices):
        steps = [(Decimal(-1), price.base), *((Decimal(tier.start), tier.price) for tier in price.tiers)]
    return tuple((above, CONTEXT.divide(amount, Decimal(unit.per))) for above, amount in reversed(steps))


def _is_consistent(prices: ModelPrice) -> bool:
    """Whether the library accepts the price list at all; if not, it is asked and refuses each time."""
    try:
        prices.calc_price(Usage(input_tokens=1))
    except ValueError:
        return False
    return True
