"""The event that a reversal names: by its id, or by the key under which it came."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from billing.models import Authorization, Reversal
from core.errors import NotFound, Unprocessable
from core.ids import hot_row, uuid7_at
from metering.models import IdempotencyKey, UsageEvent

AROUND: Final = timedelta(seconds=2)
"""How far the instant in an id may be from `recorded_at`."""


def find_event(reference: str, customer_id: int | None = None) -> UsageEvent:
    """The event of an `evt_` id or of an idempotency key (of one customer, where several used that key).

    Raises NotFound, or Unprocessable `ambiguous_event` when the customer has to be named; of `event`.
    """
    found = _by_id(reference) or _by_key(reference, customer_id)
    if found is None or customer_id not in (None, found.customer_id):
        raise NotFound("not_found", f"There is no event {reference[:80]!r}.", "event")
    return found


def _by_id(reference: str) -> UsageEvent | None:
    try:
        customer_id, uuid = hot_row("evt", reference)
        at = uuid7_at(uuid)
        near = {"recorded_at__gte": at - AROUND, "recorded_at__lte": at + AROUND}
    except (NotFound, OverflowError, ValueError, OSError):
        return None
    return UsageEvent.objects.filter(customer_id=customer_id, id=uuid, **near).first()


def _by_key(key: str, customer_id: int | None) -> UsageEvent | None:
    keys = IdempotencyKey.objects.filter(key=key)
    if customer_id is not None:
        keys = keys.filter(customer_id=customer_id)
    rows = list(keys[:2])
    if len(rows) > 1:
        raise Unprocessable(
            "ambiguous_event", "Several customers used this key: name the customer too.", "customer"
        )
    if not rows:
        return None
    (row,) = rows
    event: tuple[Any, Any] = (row.event_id, row.recorded_at)
    hold = Authorization.objects.filter(customer_id=row.customer_id, id=row.event_id).first()
    if hold is not None:  # the key of an authorization names the call
        event = (hold.event_id, hold.event_recorded_at)
    return UsageEvent.objects.filter(customer_id=row.customer_id, id=event[0], recorded_at=event[1]).first()


def reversals_of(customer_id: int, event_id: UUID) -> list[Reversal]:
    """What was taken back of an event, in order, with the charges that each took back."""
    rows = Reversal.objects.filter(customer_id=customer_id, event_id=event_id).order_by("seq")
    return list(rows.prefetch_related("reversed_charges"))
