from __future__ import annotations

from datetime import datetime

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models.customers import Customer, Organization, Workspace
from core.fields import AmountField
from core.ids import PublicId
from core.triggers import bump_customer


@pghistory.track()
class BillingEntity(models.Model):
    """Who pays ("Payer" in pages): currency, time zone, state and way of settling.

    `overdraft` is how far below zero the wallet may go: null = as far as usage takes it, 0 = hard
    stop. `credit_limit` bounds what an invoiced payer may owe: null = no bound. Currency is fixed;
    the time zone is fixed after the first usage. `status` is what staff or a program set, with
    `status_reason`; a payer that is past due counts as suspended from `suspends_at` on (`state_at`).
    `low_balance`: the balances that alert when the wallet falls below them.
    """

    public_id = PublicId("be")

    class Status(models.TextChoices):
        ACTIVE = "active"
        PAST_DUE = "past_due"
        SUSPENDED = "suspended"
        CLOSED = "closed"

    class Settlement(models.TextChoices):
        WALLET_ONLY = "wallet_only"
        WALLET_THEN_INVOICE = "wallet_then_invoice"
        INVOICE_ONLY = "invoice_only"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="billing_entities")
    organization = models.ForeignKey(
        Organization, models.PROTECT, null=True, blank=True, related_name="billing_entities"
    )
    external_id = models.CharField(max_length=200, unique=True, null=True, blank=True)
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=12)
    time_zone = models.CharField(max_length=64, default="UTC")
    status = models.CharField(max_length=12, choices=Status, default=Status.ACTIVE)
    status_reason = models.CharField(max_length=1000, blank=True, default="")
    suspends_at = models.DateTimeField(null=True, blank=True)
    settlement = models.CharField(max_length=24, choices=Settlement, default=Settlement.WALLET_ONLY)
    overdraft = AmountField(null=True, blank=True)
    credit_limit = AmountField(null=True, blank=True)
    low_balance = ArrayField(AmountField(), default=list, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "billing entities"
        triggers = [bump_customer()]
        constraints = [
            models.UniqueConstraint(fields=["customer", "id"], name="billing_entity_of_customer"),
            models.CheckConstraint(condition=models.Q(overdraft__gte=0), name="overdraft_not_negative"),
            models.CheckConstraint(condition=models.Q(credit_limit__gte=0), name="credit_limit_not_negative"),
        ]

    def __str__(self) -> str:
        return self.name

    def state_at(self, instant: datetime) -> str:
        """Its state then: `status`, except that a payer past due is suspended from `suspends_at` on."""
        return state_at(self.status, self.suspends_at, instant)


def state_at(status: str, suspends_at: datetime | None, instant: datetime) -> str:
    """The state of a payer with this status, whether or not a worker has written it down."""
    if status == BillingEntity.Status.PAST_DUE and suspends_at is not None and suspends_at <= instant:
        return BillingEntity.Status.SUSPENDED.value
    return status


@pghistory.track()
class PayerAssignment(models.Model):
    """Who pays for a workspace in `[starts_at, ends_at)`; null = unbounded.

    An exclusion constraint keeps it to one payer at a time, composite foreign keys keep it inside
    one customer (both in the migration).
    """

    public_id = PublicId("pa")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="payer_assignments")
    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="payer_assignments")
    billing_entity = models.ForeignKey(BillingEntity, models.PROTECT, related_name="payer_assignments")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        triggers = [bump_customer()]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")), name="assignment_ends_after_start"
            )
        ]
