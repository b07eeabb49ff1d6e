"""Ceilings in money, what counts against them, and the alerts that they cause."""

from __future__ import annotations

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from accounts.models import ApiKey, BillingEntity, Customer, Organization, Workspace
from core.fields import AmountField
from core.ids import PublicId
from core.triggers import append_only, bump_customer
from metering.models import Meter


def default_thresholds() -> list[int]:
    """The fills, in percent, at which a limit notifies."""
    return [50, 80, 95, 100]


@pghistory.track()
class SpendLimit(models.Model):
    """The most that may be spent at one level in one window, in `currency`.

    The level's own column names whose spend it is; a `meter` limit is that of a meter with one payer. A
    window is a billing period, a local day of `time_zone`, or the last `hours` hours. A soft limit only
    notifies. What the customer sets (`set_by`) stays within what staff set for the same level, window and
    currency: payers of several currencies may come together at a level. Until `ended_at` it holds.
    """

    public_id = PublicId("lim")

    class Level(models.TextChoices):
        API_KEY = "api_key"
        WORKSPACE = "workspace"
        METER = "meter"
        ORGANIZATION = "organization"
        BILLING_ENTITY = "billing_entity"

    class Kind(models.TextChoices):
        SOFT = "soft"
        HARD = "hard"

    class Window(models.TextChoices):
        BILLING_PERIOD = "billing_period"
        DAY = "day"
        ROLLING = "rolling"

    class SetBy(models.TextChoices):
        STAFF = "staff"
        CUSTOMER = "customer"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="spend_limits")
    level = models.CharField(max_length=16, choices=Level)
    api_key = models.ForeignKey(ApiKey, models.PROTECT, null=True, related_name="spend_limits")
    workspace = models.ForeignKey(Workspace, models.PROTECT, null=True, related_name="spend_limits")
    organization = models.ForeignKey(Organization, models.PROTECT, null=True, related_name="spend_limits")
    billing_entity = models.ForeignKey(BillingEntity, models.PROTECT, null=True, related_name="spend_limits")
    meter = models.ForeignKey(Meter, models.PROTECT, null=True, related_name="+")
    kind = models.CharField(max_length=4, choices=Kind, default=Kind.HARD)
    amount = AmountField()
    currency = models.CharField(max_length=12)
    window = models.CharField(max_length=16, choices=Window, default=Window.BILLING_PERIOD)
    hours = models.PositiveSmallIntegerField(null=True)
    time_zone = models.CharField(max_length=64)
    thresholds = ArrayField(models.PositiveSmallIntegerField(), default=default_thresholds)
    set_by = models.CharField(max_length=8, choices=SetBy, default=SetBy.STAFF)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)

    class Meta:
        triggers = [bump_customer()]
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="spend_limit_not_negative"),
            models.CheckConstraint(
                condition=Q(window="rolling", hours__gte=1, hours__lte=8784)
                | (~Q(window="rolling") & Q(hours=None)),
                name="rolling_limit_has_hours",
            ),
            models.CheckConstraint(
                condition=Q(level="api_key", api_key__isnull=False, workspace=None, organization=None)
                & Q(billing_entity=None, meter=None)
                | Q(level="workspace", workspace__isnull=False, api_key=None, organization=None)
                & Q(billing_entity=None, meter=None)
                | Q(level="organization", organization__isnull=False, api_key=None, workspace=None)
                & Q(billing_entity=None, meter=None)
                | Q(level="billing_entity", billing_entity__isnull=False, api_key=None, workspace=None)
                & Q(organization=None, meter=None)
                | Q(level="meter", billing_entity__isnull=False, meter__isnull=False, api_key=None)
                & Q(workspace=None, organization=None),
                name="spend_limit_has_its_level",
            ),
            models.UniqueConstraint(
                F("level"),
                F("api_key"),
                F("workspace"),
                F("organization"),
                F("billing_entity"),
                F("meter"),
                F("window"),
                F("hours"),
                F("currency"),
                F("kind"),
                F("set_by"),
                condition=Q(ended_at=None),
                nulls_distinct=False,
                name="one_limit_per_window",
            ),
        ]
        indexes = [models.Index(fields=["customer"], condition=Q(ended_at=None), name="limit_standing")]

    @property
    def counter(self) -> str:
        """The name under which its spend is counted."""
        return f"lim:{self.pk}"


class LimitCounter(models.Model):
    """What was used in one window (or one slot of a rolling one) of a limit or quota.

    Written in the charge's transaction, under the limit's lock or, of a quota, the payer's. `counter` names
    whose it is: `lim:{id}`, or `quota:{payer}:{meter}:{reset}`. `alerted`: the highest threshold that has
    fired, in percent.
    """

    customer_id = models.BigIntegerField()
    counter = models.TextField()
    starts_at = models.DateTimeField()
    used = AmountField(default=0)
    alerted = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer_id", "counter", "starts_at"], name="one_counter_per_window"
            )
        ]


class LimitHold(models.Model):
    """What an open hold reserves of a limit or quota.

    A trigger of the authorizations' table keeps it: written with the hold, changed with its term and size,
    gone when it is settled. What counts ends at `expires_at`, whether or not that has been written down.
    """

    pk = models.CompositePrimaryKey("customer_id", "authorization_id", "counter")
    customer_id = models.BigIntegerField()
    authorization_id = models.UUIDField()
    counter = models.TextField()
    amount = AmountField()
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(
                fields=["customer_id", "counter", "expires_at"], include=["amount"], name="limit_held"
            )
        ]


class Alert(models.Model):
    """Something crossed a threshold: once per threshold and window, for `key` names both.

    `level` and `level_id` say whose it is; `threshold`, `used` and `bound` are in `currency`, except that a
    limit's threshold is in percent. Written with its `OutboxMessage` in the transaction that crossed it.
    """

    public_id = PublicId("alr")

    class Kind(models.TextChoices):
        SPEND_LIMIT = "spend_limit"
        LOW_BALANCE = "low_balance"
        MARGIN = "margin"

    kind = models.CharField(max_length=16, choices=Kind)
    key = models.CharField(max_length=200, unique=True)
    customer_id = models.BigIntegerField(null=True)
    billing_entity_id = models.BigIntegerField(null=True)
    limit_id = models.BigIntegerField(null=True)
    level = models.CharField(max_length=20)
    level_id = models.CharField(max_length=200)
    threshold = AmountField()
    used = AmountField(null=True)
    bound = AmountField(null=True)
    currency = models.CharField(max_length=12, blank=True, default="")
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    details = models.JSONField(default=dict)
    fired_at = models.DateTimeField()

    class Meta:
        triggers = [append_only()]
        indexes = [models.Index(fields=["customer_id", "-id"], name="alert_customer")]
