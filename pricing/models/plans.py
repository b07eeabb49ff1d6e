from __future__ import annotations

import pghistory
import pgtrigger
from django.db import models

from core.ids import public_id
from core.triggers import bump_global, frozen_columns, frozen_row
from metering.models import Meter

CONTENT = ("plan_id", "number", "content", "content_hash", "published_at")


@pghistory.track()
class Plan(models.Model):
    """A price list in one currency; `family` groups the plans of one product."""

    key = models.CharField(max_length=100, unique=True)
    family = models.CharField(max_length=100, blank=True, default="")
    name = models.CharField(max_length=200)
    currency = models.CharField(max_length=12)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.key

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return public_id("plan", self.pk)


@pghistory.track()
class PlanVersion(models.Model):
    """One version of a plan: `content` is the canonical form of its file.

    A draft may change; a published version never does (triggers refuse, in SQL too).
    """

    class Status(models.TextChoices):
        DRAFT = "draft"
        PUBLISHED = "published"
        RETIRED = "retired"

    plan = models.ForeignKey(Plan, models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=12, choices=Status, default=Status.DRAFT)
    content = models.JSONField()
    content_hash = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    published_at = models.DateTimeField(null=True, blank=True)

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
        ]
        constraints = [
            models.UniqueConstraint(fields=["plan", "number"], name="one_version_per_number"),
            models.UniqueConstraint(
                fields=["plan"], condition=models.Q(status="draft"), name="one_draft_per_plan"
            ),
            models.CheckConstraint(
                condition=models.Q(status="draft") | models.Q(published_at__isnull=False),
                name="published_has_instant",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.plan.key} v{self.number}"

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return public_id("pv", self.pk)


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
                    "SELECT status INTO state FROM pricing_planversion"
                    " WHERE id = CASE WHEN TG_OP = 'INSERT' THEN NEW.version_id ELSE OLD.version_id END;"
                    " IF state <> 'draft' THEN"
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
