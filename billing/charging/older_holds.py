"""Holds that a quota was not there for: what they may use of its meter is promised, and counts in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg

from billing.charging.limiting import Limiting
from billing.holds import Hold, HoldId
from billing.store_late_limits import count_late, read_uncounted
from billing.store_limits import CounterRange
from core.jsonio import decode_json
from core.numbers import ONE, ZERO
from core.sql import Session
from metering.catalogue import CompiledMeter

Missed = tuple[int, UUID, str, Decimal]
"""(customer, hold, counter, quantity) of a hold that a quota does not count yet."""


def count_older_holds(
    raw: psycopg.Connection[Any], limiting: Limiting, holds: Mapping[HoldId, Hold], now: datetime
) -> None:
    """Let open holds count in quotas that miss them; their payers are locked.

    `holds` are those that the batch has read. No statement where none is missing, else two.
    """
    quotas = limiting.quotas_behind()
    if not quotas:
        return
    late = missed_by(raw, quotas, now)
    if late:
        count_late(raw, late)
        _note(limiting, holds, late)


def missed_by(
    raw: Session, quotas: Mapping[str, tuple[CounterRange, CompiledMeter]], now: datetime
) -> list[Missed]:
    """What open holds promise of quotas (by counter, with the meters that they bound) that miss them; one
    statement. Nothing is written: whoever holds their payers' locks may `count_late`."""
    late: list[Missed] = []
    ranges = [range_ for range_, _ in quotas.values()]
    for counter, customer_id, uuid, event, payload in read_uncounted(raw, ranges, now).fetchall():
        quantity = _quantity(quotas[counter][1], event, decode_json(payload.encode()).get("properties") or {})
        if quantity > 0:
            late.append((customer_id, uuid, counter, quantity))
    return late


def _note(limiting: Limiting, holds: Mapping[HoldId, Hold], late: Iterable[Missed]) -> None:
    for customer_id, uuid, counter, quantity in late:
        limiting.hold_too(counter, quantity)
        if (hold := holds.get((customer_id, uuid))) is not None:
            hold.counted_in.append([counter, str(quantity)])


def _quantity(meter: CompiledMeter, event: str, properties: Mapping[str, Any]) -> Decimal:
    """What a call would add to the meter; a unique value counts as one, for it may be new when it comes."""
    if event != meter.definition.event or not meter.matches(properties):
        return ZERO
    contribution = meter.contribution(properties)
    if contribution is None:
        return ZERO
    return ONE if isinstance(contribution, str) else contribution
