from __future__ import annotations

import pghistory
from django.db import models

from accounts.models import Customer
from core.ids import PublicId
from core.triggers import bump_customer
from pricing.models.plans import PlanVersion
from pricing.models.subscriptions import Subscription


@pghistory.track()
class SubscriptionChange(models.Model):
    """One thing that was done to a subscription, or will be, as of `at`; with the others, its whole history.

    A subscription that nothing was done to has no rows: it is on its version from start to end. The first
    change also writes a `start` row, which keeps what it started with (`version`, `quantities`,
    `anchor_at`). `quantities` of a `change` are only those that it sets. A `cancel` keeps in
    `ends_before` the end that it replaced. What is scheduled counts from `at` on, whenever a worker comes
    to it; what is withdrawn counts for nothing.
    """

    public_id = PublicId("subch")

    class Action(models.TextChoices):
        START = "start"
        CHANGE = "change"
        PAUSE = "pause"
        RESUME = "resume"
        CANCEL = "cancel"

    class Status(models.TextChoices):
        SCHEDULED = "scheduled"
        APPLIED = "applied"
        WITHDRAWN = "withdrawn"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="changes")
    action = models.CharField(max_length=8, choices=Action)
    status = models.CharField(max_length=12, choices=Status)
    at = models.DateTimeField()
    version = models.ForeignKey(PlanVersion, models.PROTECT, null=True, blank=True, related_name="+")
    quantities = models.JSONField(default=dict, blank=True)
    anchor_at = models.DateTimeField(null=True, blank=True)
    ends_before = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=1000, blank=True, default="")
    created_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        triggers = [bump_customer()]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"], condition=models.Q(action="start"), name="one_start_per_subscription"
            ),
            models.UniqueConstraint(
                fields=["subscription"],
                condition=models.Q(action="cancel", status="scheduled"),
                name="one_cancellation_at_once",
            ),
            models.CheckConstraint(
                condition=~models.Q(status="applied") | models.Q(applied_at__isnull=False),
                name="applied_change_has_instant",
            ),
            models.CheckConstraint(
                condition=~models.Q(action="start") | models.Q(version__isnull=False, status="applied"),
                name="start_has_version",
            ),
            models.CheckConstraint(
                condition=~models.Q(action="change")
                | models.Q(version__isnull=False)
                | ~models.Q(quantities={}),
                name="change_changes_something",
            ),
        ]
        indexes = [
            models.Index(fields=["at"], condition=models.Q(status="scheduled"), name="change_scheduled"),
        ]
