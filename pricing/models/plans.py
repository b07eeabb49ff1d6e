from __future__ import annotations

import pghistory
import pgtrigger
from django.db import models

from accounts.models import Customer
from core.ids import PublicId
from core.triggers import bump_global, frozen_columns, frozen_row
from metering.models import Meter

CONTENT = (
    "plan_id",
    "number",
    "base_id",
    "customer_id",
    "phase",
    "content",
    "content_hash",
    "created_at",
    "published_at",
)


@pghistory.track()
class Plan(models.Model):
    """A price list in one currency; `family` groups the plans of one product."""

    public_id = PublicId("plan")
    key = models.CharField(max_length=100, unique=True)
    family = models.CharField(max_length=100, blank=True, default="")
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=12)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key


@pghistory.track()
class PlanVersion(models.Model):
    """One version of a plan: `content` is the canonical form of its file, and always whole.

    A draft may change; a published version never does (triggers refuse, in SQL too), and a retired one
    stays retired. A version without `base` is one of the plan's own, in its public numbering. One with
    `base` is derived from that: a contract (`customer`: nobody else may be on it, and `number` counts the
    contracts of that customer), or the `phase` of a ramp (from 1; `number` is its base's).
    """

    public_id = PublicId("pv")
    COMMON_WITHOUT_CUSTOMER = True

    class Status(models.TextChoices):
        DRAFT = "draft"
        PUBLISHED = "published"
        RETIRED = "retired"

    plan = models.ForeignKey(Plan, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    base = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="derived")
    customer = models.ForeignKey(
        Customer, models.PROTECT, null=True, blank=True, related_name="plan_versions"
    )
    phase = models.PositiveSmallIntegerField(null=True, blank=True)
    status = models.CharField(max_length=12, choices=Status, default=Status.DRAFT)
    content = models.JSONField()
    content_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)
    retired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        triggers = [
            bump_global(),
            frozen_columns("published_content", *CONTENT, once="OLD.status <> 'draft'"),
            frozen_row("published_kept", once="OLD.status <> 'draft'"),
            pgtrigger.Protect(
                name="published_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition("OLD.status <> 'draft' AND NEW.status = 'draft'"),
            ),
            pgtrigger.Protect(
                name="retired_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.status = 'retired'"
                    " AND ROW(NEW.status, NEW.retired_at) IS DISTINCT FROM ROW(OLD.status, OLD.retired_at)"
                ),
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "number"], condition=models.Q(base=None), name="one_version_per_number"
            ),
            models.UniqueConstraint(
                fields=["plan", "customer", "number"],
                condition=models.Q(customer__isnull=False, phase=None),
                name="one_contract_per_number",
            ),
            models.UniqueConstraint(fields=["base", "phase"], name="one_version_per_phase"),
            models.UniqueConstraint(
                fields=["plan"], condition=models.Q(status="draft", base=None), name="one_draft_per_plan"
            ),
            models.CheckConstraint(
                condition=models.Q(base__isnull=False) | models.Q(customer=None, phase=None),
                name="derived_has_base",
            ),
            models.CheckConstraint(
                condition=models.Q(base=None)
                | models.Q(customer__isnull=False, phase=None)
                | models.Q(phase__isnull=False, phase__gte=1),
                name="derived_is_contract_or_phase",
            ),
            models.CheckConstraint(
                condition=models.Q(status="draft") | models.Q(published_at__isnull=False),
                name="published_has_instant",
            ),
            models.CheckConstraint(
                condition=models.Q(status="retired", retired_at__isnull=False)
                | (~models.Q(status="retired") & models.Q(retired_at=None)),
                name="retired_has_instant",
            ),
        ]

    def __str__(self) -> str:
        name = f"{self.plan.key} {'v' if self.customer_id is None else 'contract '}{self.number}"
        return name if self.phase is None else f"{name} phase {self.phase}"


class Component(models.Model):
    """A priced line of a version: one meter's quantity under one model. Immutable with its version."""

    version = models.ForeignKey(PlanVersion, models.PROTECT, related_name="components")
    key = models.CharField(max_length=100)
    meter = models.ForeignKey(Meter, models.PROTECT, related_name="components")
    definition = models.JSONField()
    position = models.PositiveSmallIntegerField()

    class Meta:
        triggers = [
            pgtrigger.Trigger(
                name="published_components",
                when=pgtrigger.Before,
                operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
                declare=[("state", "text")],
                func=(
                    "SELECT string_agg(status, ' ') INTO state FROM pricing_planversion"
                    " WHERE id IN (NEW.version_id, OLD.version_id) AND status <> 'draft';"
                    " IF state IS NOT NULL THEN"
                    " RAISE EXCEPTION 'components of a published version never change'; END IF;"
                    " IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW;"
                ),
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["version", "key"], name="component_key_in_version"),
            models.UniqueConstraint(fields=["version", "position"], name="component_position_in_version"),
        ]

    def __str__(self) -> str:
        return self.key
