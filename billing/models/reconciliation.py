"""Runs of the reconciliation, what each link of them came to, and what has been proven so far."""

from __future__ import annotations

import pghistory
from django.db import models
from django.db.models import Q

from accounts.models import Customer
from core.fields import AmountField
from core.ids import PublicId
from core.triggers import frozen_columns, frozen_row


@pghistory.track(pghistory.InsertEvent(), pghistory.UpdateEvent(condition=pghistory.AnyChange("status")))
class ReconciliationRun(models.Model):
    """One pass over all links: everything from the payers' first number (`full`), or what came since it was
    proven (`incremental`). At most one at a time is queued or running; the database sees to it.

    A run goes customer by customer, in the order of their ids; `last_customer_id` is how far it has come and
    `customers_done` of `customers_total`. `as_of`: the snapshot of the first step, so data is complete up to
    then at least. `night` is the day whose nightly run it is. `rows_checked` were looked at, events
    (`events_checked`) among them; it found `found` discrepancies, `new` of them for the first time, and
    `resolved` were gone. `only_customer`: nobody else was looked at.
    """

    public_id = PublicId("rec")

    class Kind(models.TextChoices):
        INCREMENTAL = "incremental"
        FULL = "full"

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELED = "canceled"

    kind = models.CharField(max_length=12, choices=Kind, default=Kind.INCREMENTAL)
    status = models.CharField(max_length=8, choices=Status, default=Status.QUEUED)
    only_customer = models.ForeignKey(Customer, models.PROTECT, null=True, blank=True, related_name="+")
    night = models.DateField(null=True, unique=True)
    as_of = models.DateTimeField(null=True)
    customers_total = models.PositiveIntegerField(null=True)
    customers_done = models.PositiveIntegerField(default=0)
    last_customer_id = models.BigIntegerField(default=0)
    rows_checked = models.BigIntegerField(default=0)
    events_checked = models.BigIntegerField(default=0)
    found = models.PositiveIntegerField(default=0)
    new = models.PositiveIntegerField(default=0)
    resolved = models.PositiveIntegerField(default=0)
    problem = models.TextField(blank=True, default="")
    created_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    progressed_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        triggers = [
            frozen_columns(
                "ended_run_stays", "status", "finished_at", "as_of", once="OLD.finished_at IS NOT NULL"
            ),
            frozen_row("run_kept", once="OLD.id IS NOT NULL"),
        ]
        constraints = [
            models.UniqueConstraint(
                models.Value(1),
                condition=Q(status__in=["queued", "running"]),
                name="one_reconciliation_at_a_time",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["queued", "running"], finished_at=None)
                | (~Q(status__in=["queued", "running"]) & Q(finished_at__isnull=False)),
                name="ended_run_has_instant",
            ),
        ]


class ReconciliationCheck(models.Model):
    """One link in one run: how many rows it looked at, how many discrepancies it found, and their drift.

    `drift` is the sum of the amounts without their signs, by unit (a currency, or what is counted):
    `{"EUR": "1.50"}`.
    """

    run = models.ForeignKey(ReconciliationRun, models.PROTECT, related_name="checks")
    link = models.CharField(max_length=40)
    rows = models.BigIntegerField(default=0)
    discrepancies = models.PositiveIntegerField(default=0)
    drift = models.JSONField(default=dict)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["run", "link"], name="one_check_per_link")]


class LinkDrift(models.Model):
    """The drift of a link on a day (UTC), as the day's last run over all customers left it.

    A row for each unit that drifts; a clean link has one with no unit and 0, so that every day has its point.
    """

    link = models.CharField(max_length=40)
    day = models.DateField()
    unit = models.CharField(max_length=20, blank=True, default="")
    discrepancies = models.PositiveIntegerField(default=0)
    amount = AmountField(default=0)
    run = models.ForeignKey(ReconciliationRun, models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["link", "day", "unit"], name="one_drift_per_day"),
            models.CheckConstraint(condition=Q(amount__gte=0), name="drift_not_negative"),
        ]


@pghistory.track(
    pghistory.InsertEvent(), pghistory.UpdateEvent(condition=pghistory.AnyChange("status", "owner"))
)
class Discrepancy(models.Model):
    """Two sides of a link that disagree on one thing.

    `subject` names the thing (an account, a charge, a bucket), the same in every run, so that what is found
    again is the same discrepancy (`found_times`, `last_found_at`). `expected` is what the side that is
    believed says, `actual` the other one's, `amount` = actual - expected in `unit`: a currency, or what is
    counted. `cause` is a sentence where it can be told. `detail` has both sides down to the rows. A run that
    no longer finds it resolves it; `accepted`: staff knows, and lets it be.
    """

    public_id = PublicId("dis")
    ONLY_OPERATORS = True

    class Status(models.TextChoices):
        OPEN = "open"
        INVESTIGATING = "investigating"
        ACCEPTED = "accepted"
        RESOLVED = "resolved"

    link = models.CharField(max_length=40)
    type = models.CharField(max_length=60)
    customer_id = models.BigIntegerField(null=True)
    billing_entity_id = models.BigIntegerField(null=True)
    subject = models.CharField(max_length=300)
    expected = AmountField(null=True)
    actual = AmountField(null=True)
    amount = AmountField()
    unit = models.CharField(max_length=20)
    cause = models.TextField(blank=True, default="")
    detail = models.JSONField(default=dict)
    owner = models.CharField(max_length=200, blank=True, default="")
    status = models.CharField(max_length=13, choices=Status, default=Status.OPEN)
    found_times = models.PositiveIntegerField(default=1)
    first_found_at = models.DateTimeField()
    last_found_at = models.DateTimeField()
    first_run = models.ForeignKey(ReconciliationRun, models.PROTECT, related_name="+")
    last_run = models.ForeignKey(ReconciliationRun, models.PROTECT, related_name="+")
    resolved_at = models.DateTimeField(null=True)
    resolved_by_run = models.ForeignKey(
        ReconciliationRun, models.PROTECT, null=True, related_name="resolved_discrepancies"
    )

    class Meta:
        triggers = [
            frozen_columns(
                "found_stays",
                "link",
                "type",
                "customer_id",
                "billing_entity_id",
                "subject",
                "first_found_at",
                "first_run_id",
                once="OLD.id IS NOT NULL",
            ),
            frozen_columns("resolved_stays", "status", "resolved_at", once="OLD.status = 'resolved'"),
            frozen_row("discrepancy_kept", once="OLD.id IS NOT NULL"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["link", "type", "customer_id", "billing_entity_id", "subject"],
                condition=~Q(status="resolved"),
                nulls_distinct=False,
                name="one_standing_discrepancy",
            ),
            models.CheckConstraint(
                condition=Q(status="resolved", resolved_at__isnull=False, resolved_by_run__isnull=False)
                | (~Q(status="resolved") & Q(resolved_at=None, resolved_by_run=None)),
                name="resolved_by_a_run",
            ),
        ]
        indexes = [
            models.Index(
                fields=["customer_id", "billing_entity_id"],
                condition=~Q(status="resolved"),
                name="discrepancy_standing",
            ),
            models.Index(fields=["link", "status", "-id"], name="discrepancy_link"),
        ]


class DiscrepancyComment(models.Model):
    """What somebody said of a discrepancy. Append-only."""

    public_id = PublicId("dc")
    discrepancy = models.ForeignKey(Discrepancy, models.PROTECT, related_name="comments")
    text = models.TextField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        triggers = [
            frozen_columns("comment_stays", "text", "created_by", "created_at", once="OLD.id IS NOT NULL"),
            frozen_row("comment_kept", once="OLD.id IS NOT NULL"),
        ]
        constraints = [models.CheckConstraint(condition=~Q(text=""), name="comment_says_something")]


class PayerCheckpoint(models.Model):
    """Up to which number of a payer everything has been proven; there is none while something disagrees."""

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    proven_at = models.DateTimeField()
    run_id = models.BigIntegerField()


class ProvenSum(models.Model):
    """A sum of a payer's rows up to its checkpoint, which what is derived of them agreed with.

    `link` and `key` name the sum. An incremental run adds what came since and compares again.
    """

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "link", "key")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    link = models.TextField()
    key = models.TextField()
    amount = models.DecimalField(max_digits=80, decimal_places=30)
