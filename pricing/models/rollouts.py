from __future__ import annotations

import pghistory
import pgtrigger
from django.db import models
from django.db.models import Q

from accounts.models import BillingEntity, Customer
from core.ids import PublicId
from core.triggers import frozen_columns, frozen_row
from pricing.models.plans import PlanVersion
from pricing.models.subscriptions import Subscription

TERMS = ("version_id", "cohort", "timing", "effective_at", "notice_at", "rollback_of_id", "announced_at")


@pghistory.track()
class Rollout(models.Model):
    """A planned move of subscriptions to `version`, with notice ("Price change" in pages).

    `cohort` is who is meant, as it was asked for (public ids); who it came to are the members, fixed at
    the announcement. `effective_at` is the instant from which subscriptions move (`at_renewal`: each at the
    start of its next period from then on). `reason` is why the notice was shorter than it has to be.
    `overages`: per from-version, what the new version charges for and the old one included or blocked.
    A rollout back has no version of its own: each member returns to the one that it came from.
    """

    public_id = PublicId("ro")

    class Status(models.TextChoices):
        DRAFT = "draft"
        ANNOUNCED = "announced"
        RUNNING = "running"
        PAUSED = "paused"
        DONE = "done"
        CANCELED = "canceled"

    class Timing(models.TextChoices):
        AT_RENEWAL = "at_renewal"
        ON_DATE = "on_date"
        IMMEDIATELY = "immediately"

    name = models.CharField(max_length=200)
    status = models.CharField(max_length=12, choices=Status, default=Status.DRAFT)
    version = models.ForeignKey(PlanVersion, models.PROTECT, null=True, related_name="rollouts")
    rollback_of = models.ForeignKey("self", models.PROTECT, null=True, related_name="rollbacks")
    cohort = models.JSONField(default=dict)
    timing = models.CharField(max_length=12, choices=Timing)
    effective_at = models.DateTimeField(null=True)
    notice_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, default="")
    overages = models.JSONField(default=dict)
    introduces_overage = models.BooleanField(default=False)
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200, blank=True, default="")
    announced_at = models.DateTimeField(null=True)
    announced_by = models.CharField(max_length=200, blank=True, default="")
    started_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    done_at = models.DateTimeField(null=True)
    canceled_at = models.DateTimeField(null=True)

    class Meta:
        triggers = [
            frozen_columns("announced_terms", *TERMS, once="OLD.status <> 'draft'"),
            frozen_row("announced_kept", once="OLD.status <> 'draft'"),
            pgtrigger.Protect(
                name="announced_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.status <> 'draft' AND NEW.status = 'draft'"
                    " OR OLD.status IN ('done', 'canceled') AND NEW.status <> OLD.status"
                ),
            ),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(version__isnull=True, rollback_of__isnull=False)
                | Q(version__isnull=False, rollback_of__isnull=True),
                name="rollout_has_version_or_original",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "canceled"])
                | Q(effective_at__isnull=False, notice_at__isnull=False, announced_at__isnull=False),
                name="announced_rollout_has_instants",
            ),
            models.UniqueConstraint(
                fields=["rollback_of"], condition=~Q(status="canceled"), name="one_rollback_per_rollout"
            ),
        ]

    def __str__(self) -> str:
        return self.name


@pghistory.track()
class RolloutMember(models.Model):
    """One subscription in an announced rollout, and what has become of it.

    `effective_at` is when it moves (or moved, as planned). Those that wait are `pending` (its customer has
    not been told), `notified`, `acknowledged`, `failed` (tried in vain; it is tried again), and `held_out`
    with a `held_until`; without one it stays where it is for ever. `left`: it ended, or is on another
    version, by the time it should have moved. `result` says in words what happened.
    """

    public_id = PublicId("rom")

    class State(models.TextChoices):
        PENDING = "pending"
        NOTIFIED = "notified"
        ACKNOWLEDGED = "acknowledged"
        HELD_OUT = "held_out"
        EXCEPTED = "excepted"
        MOVED = "moved"
        FAILED = "failed"
        LEFT = "left"
        CANCELED = "canceled"
        ROLLED_BACK = "rolled_back"

    rollout = models.ForeignKey(Rollout, models.PROTECT, related_name="members")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    billing_entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, models.PROTECT, related_name="rollout_members")
    from_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    to_version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=State, default=State.PENDING)
    introduces_overage = models.BooleanField(default=False)
    effective_at = models.DateTimeField()
    notified_at = models.DateTimeField(null=True)
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=200, blank=True, default="")
    limits = models.JSONField(default=dict)
    held_until = models.DateTimeField(null=True)
    moved_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    rolled_back_at = models.DateTimeField(null=True)
    result = models.TextField(blank=True, default="")

    class Meta:
        triggers = [
            frozen_columns("moved_once", "moved_at", "to_version_id", once="OLD.moved_at IS NOT NULL"),
            pgtrigger.Protect(name="member_kept", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="moved_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.moved_at IS NOT NULL AND NEW.state NOT IN ('moved', 'rolled_back')"
                ),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["rollout", "subscription"], name="one_member_per_subscription"),
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(state__in=["pending", "notified", "acknowledged", "failed"])
                | Q(state="held_out", held_until__isnull=False),
                name="one_price_change_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["moved", "rolled_back"], moved_at__isnull=False)
                | (~Q(state__in=["moved", "rolled_back"]) & Q(moved_at__isnull=True)),
                name="moved_has_instant",
            ),
        ]
        indexes = [
            models.Index(
                fields=["rollout", "effective_at"],
                name="rollout_member_due",
                condition=Q(state__in=["pending", "notified", "acknowledged", "failed", "held_out"]),
            )
        ]
