"""Events as they stand in the table, written past the path of a call."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
from django.db.models import JSONField, TextField, Value
from django.db.models.functions import Cast

from metering.models import UsageEvent


def store_events(
    customer_id: int, payer_id: int, name: str, *events: tuple[datetime, dict[str, Any]]
) -> list[UUID]:
    """Events of a payer, recorded when they occurred, in `seq` order; numbers stay as they are written."""
    seq = UsageEvent.objects.count()
    rows = [
        UsageEvent(
            customer_id=customer_id,
            id=uuid4(),
            recorded_at=at,
            seq=seq + number,
            billing_entity_id=payer_id,
            idempotency_key=uuid4().hex,
            name=name,
            occurred_at=at,
            properties=_as_written(properties),
            source="api",
            given=0,
            unmatched=False,
            unpriced=False,
        )
        for number, (at, properties) in enumerate(events, start=1)
    ]
    UsageEvent.objects.bulk_create(rows)
    return [row.id for row in rows]


def _as_written(properties: dict[str, Any]) -> Any:
    text = msgspec.json.Encoder(decimal_format="number").encode(properties).decode()
    return Cast(Value(text, output_field=TextField()), JSONField())
