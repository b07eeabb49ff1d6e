"""The histories of a batch of payers: their versions over their events, against what was booked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from accounts.models import BillingEntity
from billing.reconciliation.finding import Finding
from billing.replay import Difference, HeldEvent, Replays
from core.ids import public_id
from core.numbers import CONTEXT, ZERO


@dataclass(slots=True, frozen=True)
class StoredCharge:
    """What is stored of a charge and its event; `properties` None: the event is gone."""

    uuid: UUID
    seq: int
    amount: Decimal
    lines: list[dict[str, Any]]
    properties: dict[str, Any] | None
    cost: Decimal | None
    name: str
    occurred_at: datetime
    stands: bool


class History:
    """Takes the charges of payers in `seq` order; reads their versions through Django's connection."""

    def __init__(self, payer_ids: Iterable[int]) -> None:
        """Read what held when."""
        self._entities = BillingEntity.objects.in_bulk(list(payer_ids))
        self._replays = Replays(self._entities.values())
        self._charged: dict[tuple[int, int], Decimal] = {}

    def take(self, payer_id: int, charge: StoredCharge, properties: dict[str, Any]) -> None:
        """Add what the next charge of the payer booked, and its event if it stands."""
        for line in charge.lines:
            place = (line["segment"], line["component_id"])
            self._charged[place] = CONTEXT.add(self._charged.get(place, ZERO), Decimal(line["amount"]))
        if charge.stands:
            event = HeldEvent(charge.name, charge.occurred_at, properties, charge.cost)
            self._replays.take(payer_id, event)

    def findings(self, doubtful: Mapping[int, object]) -> Iterator[Finding]:
        """What does not come to the same, but of payers whose charges are wrong already (`doubtful`)."""
        for payer_id, found in self._replays.differences(self._charged):
            entity = self._entities.get(payer_id)
            if entity is not None and payer_id not in doubtful:
                yield _finding(entity, found)


def _finding(entity: BillingEntity, found: Difference) -> Finding:
    where = "" if found.segment_id is None else f" in segment {public_id('seg', found.segment_id)}"
    return Finding(
        "not_its_history",
        f"{found.component}{where} of period {public_id('bp', found.period_id)}",
        entity.currency,
        found.replayed,
        found.booked,
        entity.customer_id,
        entity.pk,
        cause="The payer's versions over its events come to another sum.",
        detail={"component": found.component, "period_id": found.period_id},
    )
