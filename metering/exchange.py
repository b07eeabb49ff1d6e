"""Converting costs between currencies at the rates in force when the event occurred; never a price."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal

from core.numbers import CONTEXT, ONE, round_amount


class ExchangeTable:
    """All exchange rates, effective-dated, and what the operator's own units cost in money.

    `rates`: (base, quote, starts_at, rate): from then on one unit of base is worth `rate` of quote. `units`:
    code -> (price of one unit, currency of that price).
    """

    __slots__ = ("_rates", "_units")

    def __init__(
        self,
        rates: Iterable[tuple[str, str, datetime, Decimal]],
        units: Mapping[str, tuple[Decimal, str]] | None = None,
    ) -> None:
        series: defaultdict[tuple[str, str], list[tuple[datetime, Decimal]]] = defaultdict(list)
        for base, quote, starts_at, rate in rates:
            series[base, quote].append((starts_at, rate))
        self._rates = {pair: tuple(zip(*sorted(dated), strict=True)) for pair, dated in series.items()}
        self._units = dict(units or {})

    def convert(self, amount: Decimal, base: str, quote: str, at: datetime) -> Decimal | None:
        """`amount` of `base` in `quote` at the instant `at`, to 18 decimals; None when no rate says."""
        if base == quote:
            return amount
        rate = self.rate(base, quote, at)
        return None if rate is None else round_amount(CONTEXT.multiply(amount, rate))

    def rate(self, base: str, quote: str, at: datetime) -> Decimal | None:
        """What one unit of `base` is worth in `quote` at `at`; None when no rate says.

        A loaded rate comes first, then the inverse of the opposite one, then the price of a unit of credits.
        """
        if base == quote:
            return ONE
        found = self._loaded(base, quote, at)
        if found is not None:
            return found
        found = self._loaded(quote, base, at)
        if found is not None:
            return CONTEXT.divide(ONE, found)
        if base in self._units:
            price, money = self._units[base]
            onward = self.rate(money, quote, at)
            return None if onward is None else CONTEXT.multiply(price, onward)
        if quote in self._units:
            price, money = self._units[quote]
            onward = self.rate(base, money, at)
            return None if onward is None else CONTEXT.divide(onward, price)
        return None

    def _loaded(self, base: str, quote: str, at: datetime) -> Decimal | None:
        dated = self._rates.get((base, quote))
        if dated is None:
            return None
        index = bisect_right(dated[0], at)
        return dated[1][index - 1] if index else None
