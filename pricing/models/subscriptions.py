from __future__ import annotations

import pghistory
import pgtrigger
from django.db import models

from accounts.models import BillingEntity, Customer
from core.ids import PublicId
from core.triggers import bump_customer, frozen_columns
from pricing.models.plans import PlanVersion


@pghistory.track()
class Subscription(models.Model):
    """A payer on a pinned version, in `[starts_at, ends_at)`.

    `anchor_at` fixes where billing periods begin; `quantities` are the seats and other fixed
    quantities that base fees multiply. `version`, `quantities` and `anchor_at` are those of now; what they
    were and will be, `pricing.timeline` folds from the subscription's changes. `credits_unused`: what its
    cancellation (made at `canceled_at`) leaves unused of fees in advance goes back.
    """

    public_id = PublicId("sub")

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAUSED = "paused"
        CANCELED = "canceled"
        ENDED = "ended"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="subscriptions")
    billing_entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="subscriptions")
    version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="subscriptions")
    external_id = models.CharField(max_length=200, unique=True, null=True, blank=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.ACTIVE)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, blank=True)
    anchor_at = models.DateTimeField()
    quantities = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    canceled_at = models.DateTimeField(null=True, blank=True)
    credits_unused = models.BooleanField(default=False)

    class Meta:
        triggers = [
            bump_customer(),
            pgtrigger.Trigger(
                name="contract_of_its_customer",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.UpdateOf("version_id", "customer_id"),  # type: ignore[no-untyped-call]
                func=(
                    "IF EXISTS (SELECT FROM pricing_planversion"
                    " WHERE id = NEW.version_id AND customer_id <> NEW.customer_id) THEN"
                    " RAISE EXCEPTION 'the version is a contract of another customer'"
                    " USING ERRCODE = 'check_violation', CONSTRAINT = 'contract_of_its_customer'; END IF;"
                    " RETURN NEW;"
                ),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="subscription_ends_after_start"
            )
        ]


class BillingPeriod(models.Model):
    """One cycle of a subscription: open while it runs, grace while late events may come, closed."""

    class Status(models.TextChoices):
        OPEN = "open"
        GRACE = "grace"
        CLOSED = "closed"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="periods")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    status = models.CharField(max_length=8, choices=Status, default=Status.OPEN)
    fees_booked_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        triggers = [
            frozen_columns("closed_period_stays", "status", "closed_at", once="OLD.status = 'closed'")
        ]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "starts_at"], name="one_period_per_start"),
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="period_ends_after_start"
            ),
            models.CheckConstraint(
                condition=models.Q(status="closed", closed_at__isnull=False)
                | (~models.Q(status="closed") & models.Q(closed_at=None)),
                name="closed_has_instant",
            ),
        ]
        indexes = [
            models.Index(fields=["ends_at"], condition=models.Q(status="grace"), name="period_in_grace"),
            models.Index(fields=["ends_at"], condition=models.Q(status="open"), name="period_open"),
            models.Index(
                fields=["starts_at"], condition=models.Q(fees_booked_at=None), name="period_fees_not_booked"
            ),
        ]


class Segment(models.Model):
    """A subscription on one version in (a part of) one period: where counters live.

    `closed_at`: its period is closed; what comes now is late. Setting it raises the customer's config
    version, so no process rates a late event as one in time.
    """

    public_id = PublicId("seg")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="segments")
    version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    period = models.ForeignKey(BillingPeriod, models.PROTECT, related_name="segments")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        triggers = [
            bump_customer(also_new=False),
            frozen_columns("closed_stays", "closed_at", once="OLD.closed_at IS NOT NULL"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "starts_at"], name="one_segment_per_start"),
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="segment_ends_after_start"
            ),
        ]
