"""Margin floors of payers, what their periods have come to, and what staff is told of margins."""

from __future__ import annotations

import pghistory
from django.db import models
from django.db.models import Q

from accounts.models import BillingEntity, Customer
from core.fields import AmountField
from core.ids import PublicId
from core.triggers import append_only, bump_customer


@pghistory.track(
    pghistory.InsertEvent("insert"), pghistory.UpdateEvent("update"), pghistory.DeleteEvent("delete")
)
class PayerMarginFloor(models.Model):
    """A payer's own floor, in place of its plan versions': set by staff.

    Once the revenue of a period reached `min_volume`, `min_margin` of it (0.2 = a fifth) must stay after
    cost.
    """

    public_id = PublicId("mf")

    class Action(models.TextChoices):
        NOTIFY = "notify"
        DENY = "deny"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="+")
    billing_entity = models.OneToOneField(BillingEntity, models.PROTECT, related_name="margin_floor")
    min_margin = AmountField()
    min_volume = AmountField(default=0)
    action = models.CharField(max_length=6, choices=Action, default=Action.NOTIFY)
    created_at = models.DateTimeField()

    class Meta:
        triggers = [bump_customer()]
        constraints = [
            models.CheckConstraint(
                condition=Q(min_margin__gte=0) & Q(min_margin__lte=1) & Q(min_volume__gte=0),
                name="margin_floor_in_range",
            )
        ]


class PeriodMargin(models.Model):
    """A period with a floor, the hours `[starts_at, ends_at)` of a payer: what its margin buckets came to.

    The sums are those of the hours before `kept_until`; what is in later ones is added by who looks
    (`store_margins.read_periods`), so that calls of the running hour write no row of this. Made from the
    buckets when a call first falls under a floor in the period, kept on to later hours now and then, and
    moved with every change of the buckets before, under the payer's lock. `kept_until` is at least an hour
    behind the running one. `told_below`, `told_unknown`: staff has been told of it.
    """

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "starts_at", "ends_at")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    kept_until = models.DateTimeField()
    events = models.BigIntegerField()
    costed = models.BigIntegerField()
    revenue = AmountField()
    cost = AmountField()
    told_below = models.BooleanField(default=False)
    told_unknown = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=models.F("starts_at")), name="margin_period_ends_after_start"
            ),
            models.CheckConstraint(
                condition=Q(kept_until__gte=models.F("starts_at"), kept_until__lte=models.F("ends_at")),
                name="margin_period_kept_within",
            ),
        ]


class MarginAlert(models.Model):
    """What staff is told of a margin, once for each `key`: a cause and its period. Never the customer's.

    `rule_id`, `subject`: by which rule, and the plan or model whose margin fell; empty for a payer's and
    for the whole.
    `bound` is the floor that was passed (0.2), or by how many points the margin fell. `detail` has the rest.
    """

    public_id = PublicId("mal")

    class Kind(models.TextChoices):
        BELOW_FLOOR = "below_floor"
        UNKNOWN_COST = "unknown_cost"
        FALL = "fall"

    key = models.CharField(max_length=300, unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    customer_id = models.BigIntegerField(null=True)
    billing_entity_id = models.BigIntegerField(null=True)
    rule_id = models.BigIntegerField(null=True)
    subject = models.CharField(max_length=200, blank=True, default="")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    currency = models.CharField(max_length=12)
    revenue = AmountField()
    cost = AmountField()
    events = models.BigIntegerField()
    costed = models.BigIntegerField()
    bound = AmountField()
    detail = models.JSONField()
    raised_at = models.DateTimeField()

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.CheckConstraint(
                condition=Q(billing_entity_id__isnull=True, customer_id__isnull=True)
                | Q(billing_entity_id__isnull=False, customer_id__isnull=False),
                name="margin_alert_of_a_payer_or_of_none",
            )
        ]
        indexes = [
            models.Index(fields=["customer_id", "billing_entity_id", "-id"], name="margin_alert_payer"),
            models.Index(fields=["rule_id", "subject", "-ends_at"], name="margin_alert_rule"),
        ]


@pghistory.track()
class MarginRule(models.Model):
    """Tell staff when a margin rate falls by `points` percentage points: the last `days` against those
    before.

    Of the whole, of one plan or of one model (`subject`; empty: of each). Holds until `ended_at`.
    """

    public_id = PublicId("mr")

    class Scope(models.TextChoices):
        WHOLE = "whole"
        PLAN = "plan"
        MODEL = "model"

    scope = models.CharField(max_length=5, choices=Scope)
    subject = models.CharField(max_length=200, blank=True, default="")
    points = AmountField()
    days = models.SmallIntegerField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200, blank=True, default="")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(points__gt=0) & Q(days__gte=1), name="margin_rule_in_range"),
            models.CheckConstraint(condition=~Q(scope="whole") | Q(subject=""), name="whole_has_no_subject"),
        ]
