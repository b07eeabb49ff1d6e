"""Re-rating by choice: events that nothing priced when they came are charged at the price that covers
them now (a meter was added, a subscription backdated). The events stay as they are; each gets a charge
once, in its own `seq`, in the segment in which it occurred.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, TextField
from django.db.models.functions import Cast

from accounts.directory import directory
from accounts.models import BillingEntity
from billing.charging import capturing, deciding, giving_back, late
from billing.charging.booking import Batch, book_item, write_batch
from billing.charging.bounding import read_limits
from billing.charging.outcomes import Charged
from billing.charging.planning import Planned, Stored, forget_global, plan_requests
from billing.charging.reading import Known, lock_and_read
from billing.charging.requests import ChargeRequest, Mode
from billing.charging.stale import StaleConfig
from billing.models import Charge, ReRating, Reversal
from billing.store_authorizations import read_caps
from core import clock
from core.errors import TollgateError
from core.ids import public_id
from core.jsonio import decode_json
from core.numbers import CONTEXT, ZERO
from core.partitions import ensure_month
from core.sql import driver
from metering.events import CostPart, EventInput
from metering.models import UsageEvent
from metering.payload import ASKED

BATCH: Final = 500
ATTEMPTS: Final = 5


@dataclass(slots=True)
class ReRated:
    """How many events were looked at and charged, and for how much in the payer's currency."""

    looked_at: int = 0
    charged: int = 0
    amount: Decimal = ZERO


def rerate_events(
    entity: BillingEntity,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    event: str | None = None,
) -> ReRated:
    """Charge a payer's unpriced events that occurred in `[since, until)`; safe to run again."""
    total, after = ReRated(), 0
    while True:
        rows = list(_unpriced(entity, since, until, event).filter(seq__gt=after)[:BATCH])
        if not rows:
            return total
        after = rows[-1].seq
        total.looked_at += len(rows)
        for charged in _rerate(rows, entity.currency):
            total.charged += 1
            total.amount = CONTEXT.add(total.amount, charged.amount)


def _unpriced(
    entity: BillingEntity, since: datetime | None, until: datetime | None, event: str | None
) -> QuerySet[UsageEvent]:
    done = ReRating.objects.filter(customer_id=OuterRef("customer_id"), event_id=OuterRef("id"))
    reversed_ones = Reversal.objects.filter(customer_id=OuterRef("customer_id"), event_id=OuterRef("id"))
    rows = UsageEvent.objects.filter(
        Q(unmatched=True) | Q(unpriced=True), customer_id=entity.customer_id, billing_entity_id=entity.pk
    ).filter(~Exists(done), ~Exists(reversed_ones))
    if since is not None:
        rows = rows.filter(occurred_at__gte=since)
    if until is not None:
        rows = rows.filter(occurred_at__lt=until)
    if event is not None:
        rows = rows.filter(name=event)
    return rows.annotate(properties_text=Cast("properties", TextField())).order_by("seq")


def _rerate(rows: Sequence[UsageEvent], currency: str) -> list[Charged]:
    for _ in range(ATTEMPTS):
        try:
            return _transaction(rows, currency, clock.now())
        except StaleConfig as stale:
            directory.forget(stale.customer_ids)
            if stale.is_global:
                forget_global()
        except psycopg.errors.UniqueViolation:
            return []  # another run has just done these
    raise RuntimeError("the configuration keeps changing; run it again")


def _transaction(rows: Sequence[UsageEvent], currency: str, now: datetime) -> list[Charged]:
    ensure_month(now)
    requests = [
        (index, ChargeRequest(stored_event(row, currency), Mode.REPORT, "rerating", is_any_age=True))
        for index, row in enumerate(rows)
    ]
    plan = plan_requests(requests, now)
    read_limits(plan.items, plan.customer_versions)
    charged = _charged_components(rows)
    for item, row in zip(plan.items, rows, strict=True):
        item.lines = [line for line in item.lines if line.component.id not in charged.get(row.id, ())]
        item.stored = Stored(row.id, row.recorded_at, row.unmatched, row.unpriced, bool(row.given & ASKED))
        item.attribution.workspace_id, item.attribution.api_key_id = row.workspace_id, row.api_key_id
    with transaction.atomic():
        raw = driver()
        items, known = lock_and_read(raw, plan, now)
        gone = _reversed(rows)  # perhaps while this waited for the lock
        batch = Batch(now)
        caps = {
            event: max(ZERO, CONTEXT.subtract(most, paid))
            for event, most, paid in read_caps(raw, rows[0].customer_id, [row.id for row in rows])
        }
        outcomes = [
            charge_stored(raw, item, known, batch, most=caps.get(rows[item.index].id))
            for item in items
            if rows[item.index].id not in gone
        ]
        write_batch(raw, batch, known, is_last=not batch.late)
        late.settle_closed(batch.late, now)
    return [outcome for outcome in outcomes if outcome is not None]


def _reversed(rows: Sequence[UsageEvent]) -> set[UUID]:
    found = Reversal.objects.filter(
        customer_id=rows[0].customer_id, event_id__in=[row.id for row in rows], cause=Reversal.Cause.EVENT
    )
    return set(found.values_list("event_id", flat=True))


def _charged_components(rows: Sequence[UsageEvent]) -> dict[UUID, set[int]]:
    """By event, the components that had a price when it came, while another one's was not known."""
    charges = Charge.objects.filter(
        customer_id=rows[0].customer_id,
        id__in=[row.id for row in rows],
        recorded_at__in={row.recorded_at for row in rows},
    )
    return {pk: {line["component_id"] for line in lines} for pk, lines in charges.values_list("id", "lines")}


def charge_stored(
    raw: psycopg.Connection[Any],
    item: Planned,
    known: Known,
    batch: Batch,
    *,
    is_partial: bool = False,
    most: Decimal | None = None,
) -> Charged | None:
    """The charge of one stored event; None when nothing prices it still.

    `is_partial`: when only some components have a price, these are charged, as in a report. `most`: what its
    payer may still be asked for it, where it was captured with a cap; the operator bears the rest.
    """
    payer = item.attribution.payer
    if payer is None or item.attribution.problem is not None or not item.lines:
        return None
    book = known.books[payer.customer_id, payer.id]
    try:
        rated = deciding.rate_item(item, known)
    except TollgateError:
        return None
    if rated.not_priced is not None and not is_partial:
        return None
    absorbed = late.settle_item(raw, item, known, rated) if item.late_segments else []
    if most is not None:
        absorbed += capturing.cap(rated, most)
    parts = deciding.fund(item, book, rated)
    if any(amount < 0 for _, amount in rated.amounts):
        parts = late.take_coupons_back(batch, item, book, rated, parts)
        parts += giving_back.give_back_lines(raw, book, rated, batch.paid)
    parts += absorbed
    outcome = book_item(batch, item, known, book, rated, parts)
    assert isinstance(outcome, Charged)
    return outcome


def stored_event(row: UsageEvent, currency: str) -> EventInput:
    """A stored event (with `properties_text`) as the path takes it.

    Paid for by who pays for it already, at the cost it had.
    """
    return EventInput(
        idempotency_key=row.idempotency_key,
        event=row.name,
        workspace=None,
        api_key=None,
        billing_entity=public_id("be", row.billing_entity_id),
        occurred_at=row.occurred_at,
        properties=decode_json(row.properties_text.encode()),  # type: ignore[attr-defined]
        costs=None if row.cost is None else (CostPart("", row.cost, currency),),
        user=row.user,
        trace=row.trace,
        payload={},
        properties_json=row.properties_text,  # type: ignore[attr-defined]
    )
