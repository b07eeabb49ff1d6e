"""Amounts in several currencies: what may be compared, by which rates, and why something may not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from accounts.models import Currency
from billing.margins import Margin
from core.numbers import CONTEXT
from metering.costing import load_exchange_table
from metering.exchange import ExchangeTable
from metering.models import CostRate
from metering.vendor_costs import CURRENCY as PRICE_TABLE_CURRENCY

_FALLBACK: Final = "USD"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Exchange rates as they stand at `at`. `currency` is what amounts are compared in.

    Only for ordering and for saying that something cannot be compared: no sum of several currencies
    is ever shown as an amount.
    """

    at: datetime
    currency: str
    exchange: ExchangeTable
    cost_currencies: frozenset[str]

    def comparable(self, amount: Decimal | None, currency: str) -> Decimal | None:
        """`amount` in the currency of comparison; None when it is None or no rate says."""
        if amount is None:
            return None
        return self.exchange.convert(amount, currency, self.currency, self.at)

    def total(self, amounts: Iterable[tuple[Decimal | None, str]]) -> Decimal | None:
        """The comparable sum of (amount, currency); None as soon as one of them cannot be compared."""
        found = [self.comparable(amount, currency) for amount, currency in amounts]
        present = [amount for amount in found if amount is not None]
        if len(present) < len(found) or not found:
            return None
        total = Decimal(0)
        for amount in present:
            total = CONTEXT.add(total, amount)
        return total

    def missing_rate(self, currency: str) -> str | None:
        """A currency in which vendors charge and from which no rate leads to `currency`; None if all do."""
        for vendors in sorted(self.cost_currencies):
            if self.exchange.rate(vendors, currency, self.at) is None:
                return vendors
        return None

    def obstacle(self, margin: Margin, currency: str) -> str:
        """Why revenue and cost cannot be compared, in a sentence; empty when nothing is lacking."""
        if margin.costed == margin.events:
            return ""
        vendors = self.missing_rate(currency)
        return "" if vendors is None else f"There is no exchange rate from {vendors} to {currency}."


def make_comparison(currencies: Iterable[str], at: datetime) -> Comparison:
    """Compare in the currency that most payers have (`currencies`, one for each). Three statements."""
    counted = Counter(currencies)
    main = min(counted, key=lambda code: (-counted[code], code)) if counted else _FALLBACK
    vendors = set(CostRate.objects.values_list("currency", flat=True).distinct())
    return Comparison(at, main, load_exchange_table(), frozenset(vendors | {PRICE_TABLE_CURRENCY}))


def currency_units() -> Mapping[str, Currency]:
    """The operator's own units of credits by code: how many decimals they have. One statement."""
    return Currency.objects.in_bulk()
