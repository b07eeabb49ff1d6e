from __future__ import annotations

import pghistory
from django.db import models

from core.ids import PublicId
from core.triggers import bump_customer


@pghistory.track(exclude=["config_version"])
class Customer(models.Model):
    """The root of an organization tree, fixed for life.

    `config_version` rises (by triggers) with every change under this customer; a charge compares it
    under the payer's lock with the version that its cached configuration was read at.
    """

    public_id = PublicId("cus")
    external_id = models.CharField(max_length=200, unique=True, null=True, blank=True)
    name = models.CharField(max_length=200)
    config_version = models.BigIntegerField(default=1, editable=False)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.name


@pghistory.track()
class Organization(models.Model):
    """A company or division in a customer's tree; `parent` is inside the same customer."""

    public_id = PublicId("org")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="organizations")
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    external_id = models.CharField(max_length=200, unique=True, null=True, blank=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        triggers = [bump_customer()]
        constraints = [
            models.UniqueConstraint(fields=["customer", "id"], name="organization_of_customer"),
            models.CheckConstraint(
                condition=~models.Q(parent=models.F("id")), name="organization_not_own_parent"
            ),
        ]

    def __str__(self) -> str:
        return self.name


@pghistory.track()
class Workspace(models.Model):
    """A team, project or product area of a customer; where calls happen."""

    public_id = PublicId("ws")
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="workspaces")
    organization = models.ForeignKey(
        Organization, models.PROTECT, null=True, blank=True, related_name="workspaces"
    )
    external_id = models.CharField(max_length=200, unique=True, null=True, blank=True)
    name = models.CharField(max_length=200)
    created_at = models.DateTimeField()

    class Meta:
        triggers = [bump_customer()]
        constraints = [models.UniqueConstraint(fields=["customer", "id"], name="workspace_of_customer")]

    def __str__(self) -> str:
        return self.name
