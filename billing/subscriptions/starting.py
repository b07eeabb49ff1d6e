"""Starting subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction

from accounts.external_ids import check_external_id
from accounts.models import BillingEntity
from billing.recurring_credits import release_payer_credits
from billing.subscriptions.checks import (
    Part,
    check_fit,
    checked_quantities,
    parts_of,
    refuse_overlaps,
    refuse_start,
)
from billing.subscriptions.moving import settle, take_over
from billing.subscriptions.ramping import ramp_changes
from billing.subscriptions.recording import record
from billing.subscriptions.usage import charge_since_start
from billing.wallets import open_book
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest
from core.partitions import ensure_month
from pricing.locked import Locked, open_first_period, save_rows
from pricing.models import PlanVersion, Subscription
from pricing.terms import terms_of

DISTANCE_MAX: Final = timedelta(days=3660)
"""How far from now a subscription may start."""


def start_subscription(
    entity: BillingEntity,
    version: PlanVersion,
    *,
    starts_at: datetime | None = None,
    ends_at: datetime | None = None,
    anchor_at: datetime | None = None,
    quantities: Mapping[str, Decimal] | None = None,
    external_id: str | None = None,
) -> Subscription:
    """Put a payer on a published version in `[starts_at, ends_at)`; default from now on, without end.

    `anchor_at` (default `starts_at`) is the day from which an `anchor: subscription` cycle counts;
    `quantities` are seats and the like by fee key. Opens the first period, books the fees due by now, and
    charges usage since a start in the past that nothing priced when it came.
    Raises Unprocessable for what does not fit, Conflict when a subscription of this payer prices one of
    the meters at the same time.
    """
    now = clock.now()
    starts_at = starts_at or now
    _check_instants(now, starts_at, ends_at, anchor_at)
    kept = checked_quantities(version, quantities or {})
    ensure_month(now)
    with transaction.atomic():
        with open_book(entity, now) as book:
            entity = BillingEntity.objects.get(pk=entity.pk)
            version = PlanVersion.objects.select_related("plan").get(pk=version.pk)
            check_fit(entity, version)
            refuse_start(entity, [Part(version.pk, starts_at, ends_at)])
            subscription = Subscription.objects.create(
                customer_id=entity.customer_id,
                billing_entity=entity,
                version=version,
                external_id=check_external_id(Subscription, "sub", external_id),
                starts_at=starts_at,
                ends_at=ends_at,
                anchor_at=anchor_at or starts_at,
                quantities=kept,
                created_at=now,
            )
            locked = Locked(subscription)
            _schedule_ramp(locked, now)
            open_first_period(locked)
            settle({entity.pk: book}, [locked], {}, now)
            if ends_at is not None and ends_at <= now:
                subscription.status = Subscription.Status.ENDED
                subscription.save(update_fields=["status"])
        if any(terms_of(span.version).credits for span in locked.timeline().spans):
            release_payer_credits(entity, now)
        if starts_at < now:
            charge_since_start(subscription, now)
    return subscription


def _schedule_ramp(locked: Locked, now: datetime) -> None:
    since = locked.row.starts_at
    phases = ramp_changes(locked, locked.row.version, since)
    if phases:
        record([(locked, phases)], now)
        timeline = locked.timeline()
        refuse_overlaps([(locked, parts_of(timeline, since))])
        take_over(locked, timeline, now)
        save_rows([locked])


def _check_instants(
    now: datetime, starts_at: datetime, ends_at: datetime | None, anchor_at: datetime | None
) -> None:
    for name, instant in (("starts_at", starts_at), ("anchor_at", anchor_at), ("ends_at", ends_at)):
        if instant is not None and abs(instant - now) > DISTANCE_MAX:
            raise InvalidRequest("out_of_range", f"{name} may be ten years from now at most.", name)
    if ends_at is not None and ends_at <= starts_at:
        raise InvalidRequest("invalid_period", "ends_at must be after starts_at.", "ends_at")


explain_constraint(
    "pricing_subscription_external_id_key",
    Conflict,
    "already_exists",
    "There is one with this external_id already.",
    "external_id",
)
