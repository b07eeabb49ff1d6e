from __future__ import annotations

from datetime import datetime

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models

from accounts.models.customers import Customer, Workspace
from core.ids import PublicId
from core.triggers import bump_customer, bump_global

FINGERPRINT_FORM = models.Q(fingerprint__regex=r"^[0-9a-f]{64}$")


@pghistory.track()
class ApiKey(models.Model):
    """The credential that a customer's caller presents; it belongs to a workspace.

    Issued by us or registered by the operator: either way only `fingerprint`, the SHA-256 of the
    secret in hex, is kept. `user` names the person who uses it, if one does.
    """

    public_id = PublicId("key")

    class Kind(models.TextChoices):
        ISSUED = "issued"
        REGISTERED = "registered"

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="api_keys")
    workspace = models.ForeignKey(Workspace, models.PROTECT, related_name="api_keys")
    name = models.CharField(max_length=200)
    user = models.CharField(max_length=200, null=True, blank=True)
    kind = models.CharField(max_length=12, choices=Kind)
    prefix = models.CharField(max_length=24, blank=True, default="")
    fingerprint = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        triggers = [bump_customer()]
        constraints = [models.CheckConstraint(condition=FINGERPRINT_FORM, name="api_key_fingerprint")]

    def __str__(self) -> str:
        return self.name


class Scope(models.TextChoices):
    """What an integration key may do. `admin` includes all."""

    EVENTS_WRITE = "events:write"
    CHARGES_WRITE = "charges:write"
    READ = "read"
    ADMIN = "admin"


@pghistory.track(exclude=["last_used_at"])
class IntegrationKey(models.Model):
    """What the operator's gateway or backend calls Tollgate with.

    A rotation makes a successor and sets `expires_at` on this one, so that both work meanwhile.
    """

    public_id = PublicId("ik")
    name = models.CharField(max_length=200)
    prefix = models.CharField(max_length=24)
    fingerprint = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=16, choices=Scope))
    rotated_from = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="successors")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        triggers = [bump_global("scopes", "expires_at", "revoked_at")]
        constraints = [models.CheckConstraint(condition=FINGERPRINT_FORM, name="integration_key_fingerprint")]

    def __str__(self) -> str:
        return self.name

    def is_valid_at(self, instant: datetime) -> bool:
        """Whether the key may be used: neither revoked nor past its expiry."""
        ends = [end for end in (self.expires_at, self.revoked_at) if end is not None]
        return all(instant < end for end in ends)
