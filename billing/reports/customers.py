"""Customers with usage, revenue, cost, margin and balance: the list page, in nine statements.

All of it comes from hourly buckets and account rows, so it costs the same however many events there were.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Final

from accounts.models import BillingEntity, Currency, Customer
from accounts.scoping import Viewer, visible
from billing.balances import Balance, balances_of
from billing.margins import Margin
from billing.reports.comparing import Comparison, currency_units, make_comparison
from billing.reports.spans import Span
from billing.store_reports import payer_sums
from core.ids import public_id
from core.numbers import CONTEXT, ZERO

Status = BillingEntity.Status
WORST_FIRST: Final = (Status.SUSPENDED, Status.PAST_DUE, Status.ACTIVE, Status.CLOSED)
NO_PAYER: Final = "no_payer"


@dataclass(slots=True)
class CurrencyLine:
    """A customer's figures in one currency: the payers that pay in it, together.

    `unit`: the currency as it is shown; `settled`: their wallets; `owed`: accrued and not paid. `obstacle`:
    why cost and revenue cannot be compared.
    """

    currency: str
    unit: str | Currency
    margin: Margin = field(default_factory=Margin)
    settled: Decimal = ZERO
    owed: Decimal = ZERO
    payers: int = 0
    obstacle: str = ""

    @property
    def balance(self) -> Decimal:
        """The wallets less what is owed."""
        return CONTEXT.subtract(self.settled, self.owed)

    @property
    def is_below_cost(self) -> bool:
        """Whether what is known of the cost is more than the revenue."""
        return self.margin.margin is not None and self.margin.margin < 0


@dataclass(slots=True)
class CustomerRow:
    """A customer of the list. `order` holds what its columns are sorted by, in one currency for all rows."""

    customer_id: int
    name: str
    external_id: str | None
    created_at: datetime
    status: str
    settlements: frozenset[str]
    lines: list[CurrencyLine]
    order: Mapping[str, Decimal | None]

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return public_id("cus", self.customer_id)

    @property
    def events(self) -> int:
        """How many events, whoever paid."""
        return sum(line.margin.events for line in self.lines)

    @property
    def currencies(self) -> list[str]:
        """What its payers pay in."""
        return [line.currency for line in self.lines]

    @property
    def is_below_cost(self) -> bool:
        """Whether it is sold below cost in one of its currencies."""
        return any(line.is_below_cost for line in self.lines)


def customer_rows(viewer: Viewer, span: Span, now: datetime) -> tuple[list[CustomerRow], Comparison]:
    """All customers that `viewer` sees, by name, with their figures in `span` and their balances `now`."""
    customers = visible(Customer, viewer).order_by("name", "pk")
    payers: defaultdict[int, list[BillingEntity]] = defaultdict(list)
    for payer in visible(BillingEntity, viewer).order_by("currency", "pk"):
        payers[payer.customer_id].append(payer)
    everyone = [payer for own in payers.values() for payer in own]
    balances = balances_of(everyone, now)
    margins = {row.payer_id: row.margin for row in payer_sums(span.first, span.end)}
    comparison = make_comparison((payer.currency for payer in everyone), now)
    units = currency_units()
    rows = []
    for customer in customers:
        own = payers.get(customer.pk, [])
        lines = _lines(own, margins, balances, comparison, units)
        rows.append(
            CustomerRow(
                customer_id=customer.pk,
                name=customer.name,
                external_id=customer.external_id,
                created_at=customer.created_at,
                status=worst_status(payer.status for payer in own),
                settlements=frozenset(payer.settlement for payer in own),
                lines=lines,
                order=_order(lines, comparison),
            )
        )
    return rows, comparison


def worst_status(statuses: Iterable[str]) -> str:
    """The one that staff should see: of payers that are suspended, past due, active, closed the first."""
    found = set(statuses)
    return next((str(status) for status in WORST_FIRST if status in found), NO_PAYER)


def totals_of(rows: Sequence[CustomerRow]) -> list[tuple[CurrencyLine, int]]:
    """The figures of `rows` together with the number of customers, one for each currency, largest first."""
    totals: dict[str, CurrencyLine] = {}
    customers: defaultdict[str, int] = defaultdict(int)
    for line in (line for row in rows for line in row.lines):
        total = totals.setdefault(line.currency, CurrencyLine(line.currency, line.unit))
        _add(total, line)
        customers[line.currency] += 1
    found = [(total, customers[currency]) for currency, total in totals.items()]
    return sorted(found, key=lambda pair: (-pair[1], pair[0].currency))


def _lines(
    payers: Sequence[BillingEntity],
    margins: Mapping[int, Margin],
    balances: Mapping[int, Balance],
    comparison: Comparison,
    units: Mapping[str, Currency],
) -> list[CurrencyLine]:
    lines: dict[str, CurrencyLine] = {}
    for payer in payers:
        code = payer.currency
        unit = units.get(code, code)
        balance, margin = balances[payer.pk], margins.get(payer.pk, Margin())
        line = lines.setdefault(code, CurrencyLine(code, unit))
        _add(line, CurrencyLine(code, unit, margin, balance.settled, balance.owed, 1))
    for line in lines.values():
        line.obstacle = comparison.obstacle(line.margin, line.currency)
    return list(lines.values())


def _add(total: CurrencyLine, line: CurrencyLine) -> None:
    total.margin += line.margin
    total.settled = CONTEXT.add(total.settled, line.settled)
    total.owed = CONTEXT.add(total.owed, line.owed)
    total.payers += line.payers
    total.obstacle = total.obstacle or line.obstacle


def _order(lines: Sequence[CurrencyLine], comparison: Comparison) -> dict[str, Decimal | None]:
    """What a row is sorted by; None (last) where its currencies cannot be compared with the others."""
    revenue = comparison.total((line.margin.revenue, line.currency) for line in lines)
    margin = comparison.total((line.margin.margin, line.currency) for line in lines)
    rate = None if margin is None or not revenue else CONTEXT.divide(margin, revenue)
    return {
        "revenue": revenue,
        "cost": comparison.total((line.margin.cost, line.currency) for line in lines),
        "margin": margin,
        "margin_rate": rate,
        "balance": comparison.total((line.balance, line.currency) for line in lines),
    }
