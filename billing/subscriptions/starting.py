"""Starting and canceling subscriptions.

Order of locks: the payer's wallet row, then the subscription's, then its customer's (by triggers).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import Q

from accounts.external_ids import check_external_id
from accounts.models import BillingEntity
from billing.ledger import lock_accounts
from billing.periods import book_payer_fees
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest, PermissionDenied, Unprocessable
from core.numbers import plain
from core.partitions import ensure_month
from core.sql import driver
from pricing.models import Component, Counter, PlanVersion, Segment, Subscription
from pricing.periods import SHORTEST, end_periods, ensure_segments
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
    `quantities` are seats and the like by fee key. Opens the first period, and books the fees due by now.
    Raises Unprocessable for what does not fit, Conflict when a subscription of this payer prices one of
    the meters at the same time.
    """
    now = clock.now()
    starts_at = starts_at or now
    _check_instants(now, starts_at, ends_at, anchor_at)
    kept = _checked_quantities(version, quantities or {})
    ensure_month(now)
    with transaction.atomic():
        lock_accounts(driver(), [(entity.customer_id, entity.pk)])
        entity = BillingEntity.objects.get(pk=entity.pk)
        version = PlanVersion.objects.select_related("plan").get(pk=version.pk)
        _check_fit(entity, version)
        _refuse_overlap(entity, version, starts_at, ends_at)
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
        ensure_segments([(subscription.pk, starts_at)])
        book_payer_fees(entity, now)
    subscription.refresh_from_db()
    return subscription


def cancel_subscription(subscription: Subscription, *, at: datetime | None = None) -> Subscription:
    """End a subscription at `at` (default now; not in the past). Nothing is paid back for what is unused.

    One that has not begun by then never does. Raises Conflict when it has an end already, or when usage
    was charged for after it.
    """
    now = clock.now()
    at = at or now
    if at < now:
        raise InvalidRequest("in_past", "A subscription ends now or later.", "at")
    with transaction.atomic():
        lock_accounts(driver(), [(subscription.customer_id, subscription.billing_entity_id)])
        subscription = Subscription.objects.select_for_update(no_key=True).get(pk=subscription.pk)
        if subscription.status != Subscription.Status.ACTIVE:
            raise Conflict("not_active", f"The subscription is {subscription.status} already.")
        if subscription.ends_at is not None and subscription.ends_at <= at:
            raise Conflict("ends_before", "The subscription ends before that.", "at")
        later = Segment.objects.filter(subscription=subscription, starts_at__gte=at)
        if Counter.objects.filter(
            customer_id=subscription.customer_id, segment_id__in=list(later.values_list("pk", flat=True))
        ).exists():
            raise Conflict("usage_after", "Usage after that instant is charged already.", "at")
        subscription.ends_at = max(at, subscription.starts_at + SHORTEST)
        subscription.status = Subscription.Status.CANCELED
        subscription.save(update_fields=["ends_at", "status"])
        end_periods(subscription, at if at < subscription.starts_at else subscription.ends_at)
    return subscription


def _check_instants(
    now: datetime, starts_at: datetime, ends_at: datetime | None, anchor_at: datetime | None
) -> None:
    for name, instant in (("starts_at", starts_at), ("anchor_at", anchor_at), ("ends_at", ends_at)):
        if instant is not None and abs(instant - now) > DISTANCE_MAX:
            raise InvalidRequest("out_of_range", f"{name} may be ten years from now at most.", name)
    if ends_at is not None and ends_at <= starts_at:
        raise InvalidRequest("invalid_period", "ends_at must be after starts_at.", "ends_at")


def _checked_quantities(version: PlanVersion, quantities: Mapping[str, Decimal]) -> dict[str, str]:
    known = {fee.key for fee in terms_of(version).base_fees if fee.quantity is not None}
    for key, quantity in quantities.items():
        if key not in known:
            there = ", ".join(sorted(known)) or "none"
            raise Unprocessable(
                "unknown_quantity",
                f"No fee {key!r} takes a quantity; these do: {there}.",
                f"quantities.{key}",
            )
        if quantity < 0:
            raise InvalidRequest("negative_number", "A quantity is not negative.", f"quantities.{key}")
    return {key: plain(quantity) for key, quantity in quantities.items()}


def _check_fit(entity: BillingEntity, version: PlanVersion) -> None:
    if entity.status == BillingEntity.Status.CLOSED:
        raise PermissionDenied("closed", "This billing entity is closed.", "billing_entity")
    if version.status != PlanVersion.Status.PUBLISHED:
        raise Unprocessable(
            "not_published",
            f"{version} is {version.status}: subscriptions start on published ones.",
            "plan_version",
        )
    if version.plan.currency != entity.currency:
        raise Unprocessable(
            "currency_mismatch",
            f"The plan is in {version.plan.currency}, the payer pays in {entity.currency}.",
            "plan_version",
        )


def _refuse_overlap(
    entity: BillingEntity, version: PlanVersion, starts_at: datetime, ends_at: datetime | None
) -> None:
    """Two subscriptions that price one meter at once would charge each call twice."""
    at_once = Subscription.objects.filter(Q(ends_at=None) | Q(ends_at__gt=starts_at), billing_entity=entity)
    if ends_at is not None:
        at_once = at_once.filter(starts_at__lt=ends_at)
    meters = Component.objects.filter(version=version).values("meter_id")
    clash = Component.objects.filter(meter_id__in=meters, version__subscriptions__in=at_once)
    found = clash.values_list("meter__key", flat=True).first()
    if found is not None:
        raise Conflict(
            "meter_priced_already",
            f"A subscription of this payer prices the meter {found!r} then.",
            "plan_version",
        )


explain_constraint(
    "pricing_subscription_external_id_key",
    Conflict,
    "already_exists",
    "There is one with this external_id already.",
    "external_id",
)
