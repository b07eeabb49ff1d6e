"""Quarantine: well-formed events that could not be taken wait here; nothing accepted is lost.

Releasing one charges it and so belongs to billing; this module puts events in, reads them back exactly and
writes them off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
from django.db import transaction
from django.db.models import JSONField, QuerySet, TextField, Value
from django.db.models.functions import Cast

from core.errors import Conflict, NotFound
from core.jsonio import decode_json
from metering.events import EventInput, parse_event
from metering.models import QuarantinedEvent

_ENCODE: Final = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(slots=True)
class QuarantineItem:
    """An event to put aside: why (a `QuarantinedEvent.Reason` or the code of the error that attribution
    found), a sentence for staff, and what is known of it."""

    event: EventInput
    reason: str
    message: str
    customer_id: int | None = None
    integration_key_id: int | None = None


def quarantine_events(items: Sequence[QuarantineItem], *, received_at: datetime) -> None:
    """Put events into quarantine, in one statement; an event that waits there already waits once.

    Two events are the same when key and payload are.
    """
    rows = [
        QuarantinedEvent(
            idempotency_key=item.event.idempotency_key,
            payload_hash=item.event.payload_hash,
            payload=_exact_json(item.event.payload),
            reason=_REASON_OF_CODE.get(item.reason, item.reason),
            message=item.message,
            customer_id=item.customer_id,
            integration_key_id=item.integration_key_id,
            received_at=received_at,
        )
        for item in items
    ]
    if rows:
        # In one order everywhere: two batches with the same events then wait for each other, not forever.
        rows.sort(key=lambda row: (row.idempotency_key, row.payload_hash))
        QuarantinedEvent.objects.bulk_create(rows, ignore_conflicts=True)


def waiting_events(ids: Iterable[int]) -> list[tuple[QuarantinedEvent, EventInput]]:
    """Lock the waiting rows among `ids` in id order and read their events, exact as they were sent.

    For a release, inside its transaction. An event without `occurred_at` occurred when it was received.
    """
    rows = with_payload_text(QuarantinedEvent.objects.filter(pk__in=set(ids), status=_WAITING))
    locked = rows.order_by("pk").select_for_update()
    return [(row, parse_event(sent_payload(row), row.received_at)) for row in locked]


def with_payload_text(rows: QuerySet[QuarantinedEvent]) -> QuerySet[QuarantinedEvent]:
    """The rows with what `sent_payload` needs."""
    return rows.annotate(payload_text=Cast("payload", TextField())).defer("payload")


def sent_payload(row: QuarantinedEvent) -> dict[str, Any]:
    """The payload of a row of `with_payload_text`, numbers exact."""
    payload: dict[str, Any] = decode_json(row.payload_text.encode())  # type: ignore[attr-defined]
    return payload


@transaction.atomic
def write_off_quarantined(row_id: int, *, by: str, at: datetime) -> QuarantinedEvent:
    """Give a waiting event up: it will never be charged under this row, and it stays readable.

    Locks the row. Raises NotFound, or Conflict when it does not wait any more.
    """
    row = QuarantinedEvent.objects.select_for_update().filter(pk=row_id).first()
    if row is None:
        raise NotFound("not_found", "There is no such event in quarantine.")
    if row.status != _WAITING:
        raise Conflict("not_waiting", f"This event does not wait any more: it is {row.get_status_display()}.")
    row.status = QuarantinedEvent.Status.WRITTEN_OFF
    row.resolved_at = at
    row.resolved_by = by
    row.save(update_fields=["status", "resolved_at", "resolved_by"])
    return row


def _exact_json(payload: dict[str, Any]) -> Cast:
    """`payload` for a jsonb column with its decimals as numbers, which Django's own encoder cannot write."""
    return Cast(Value(_ENCODE(payload).decode(), output_field=TextField()), JSONField())


_WAITING: Final = QuarantinedEvent.Status.WAITING
_REASON_OF_CODE: Final = {"unknown_billing_entity": QuarantinedEvent.Reason.UNKNOWN_PAYER.value}
