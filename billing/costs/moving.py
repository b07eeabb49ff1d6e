"""Moving margins to what is known of costs, under the lock of the payer concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from accounts.models import BillingEntity
from billing.costs.known import KnownCost
from billing.hours import hour_start
from billing.margin_floors.telling import tell_below
from billing.models import CostEntry
from billing.store import MarginKey
from billing.store_margins import add_margins
from core.numbers import CONTEXT, ZERO
from core.sql import driver
from metering.exchange import ExchangeTable
from metering.models import UsageEvent

WRITTEN_AT_ONCE: Final = 5000


@dataclass(slots=True)
class CostMoves:
    """The rows and the changes of margin buckets of one transaction over one payer, which is locked."""

    entity: BillingEntity
    exchange: ExchangeTable
    now: datetime
    entries: list[CostEntry] = field(default_factory=list)
    margins: dict[MarginKey, list[Any]] = field(default_factory=dict)

    def move(
        self,
        event: UsageEvent,
        before: KnownCost,
        costs: Sequence[Mapping[str, Any]],
        *,
        source: str,
        **said: Any,
    ) -> CostEntry:
        """Let these parts be the event's cost. `said`: who says so and why, as on a CostEntry."""
        cost = total(costs, self.exchange, event.occurred_at, self.entity.currency)
        change = CONTEXT.subtract(cost or ZERO, before.cost or ZERO)
        entry = CostEntry(
            customer_id=event.customer_id,
            billing_entity_id=event.billing_entity_id,
            event_id=event.id,
            event_recorded_at=event.recorded_at,
            source=source,
            costs=list(costs),
            cost=cost,
            change=change,
            costed=int(cost is not None) - int(before.cost is not None),
            recorded_at=self.now,
            **said,
        )
        self.entries.append(entry)
        hour = hour_start(event.occurred_at, self.entity.time_zone)
        key = MarginKey(event.customer_id, self.entity.pk, hour, event.workspace_id or 0, event.name)
        row = self.margins.setdefault(key, [0, 0, 0, 0, ZERO, ZERO])
        row[1] += entry.costed
        row[5] = CONTEXT.add(row[5], change)
        return entry

    def write(self) -> None:
        """Write it all, and tell staff when it brings a period below its floor."""
        CostEntry.objects.bulk_create(self.entries, batch_size=WRITTEN_AT_ONCE)
        add_margins(driver(), self.margins)
        tell_below(self.entity, self.now)


def total(
    costs: Iterable[Mapping[str, Any]], exchange: ExchangeTable, at: datetime, currency: str
) -> Decimal | None:
    """The parts in `currency` at the rates of `at`; None when one of them cannot be converted."""
    found = ZERO
    for part in costs:
        converted = exchange.convert(Decimal(part["amount"]), part["currency"], currency, at)
        if converted is None:
            return None
        found = CONTEXT.add(found, converted)
    return found
