"""What was erased of a person's data, and by whose wish: the one way round the triggers of events."""

from __future__ import annotations

import pghistory
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from core.ids import PublicId
from core.triggers import frozen_columns, frozen_row

WISH = ("customer_id", "properties", "reason", "created_by", "created_at")


@pghistory.track(
    pghistory.InsertEvent("insert"),
    pghistory.UpdateEvent("update", condition=pghistory.AnyChange("status")),
    model_name="ErasureEvent",
    fields=["id", "customer_id", "properties", "reason", "created_by", "status", "events", "parts", "others"],
)
class Erasure(models.Model):
    """A wish to erase a person's data of one customer, carried out payer by payer and resumable.

    `user` and `values` say whose; they are forgotten when it is done. `properties`: what to erase of that
    user's events. `kept`: property -> why it had to stay. `payer_done` and `seq_done`: how far it has come.
    """

    public_id = PublicId("era")

    class Status(models.TextChoices):
        WAITING = "waiting"
        DONE = "done"

    customer_id = models.BigIntegerField()
    user = models.TextField(null=True)
    values = ArrayField(models.TextField(), default=list)
    properties = ArrayField(models.TextField(), default=list)
    reason = models.TextField()
    created_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField()
    status = models.CharField(max_length=8, choices=Status, default=Status.WAITING)
    done_at = models.DateTimeField(null=True)
    payer_done = models.BigIntegerField(default=0)
    seq_done = models.BigIntegerField(default=0)
    events = models.BigIntegerField(default=0)
    parts = models.BigIntegerField(default=0)
    others = models.BigIntegerField(default=0)
    kept = models.JSONField(default=dict)

    class Meta:
        triggers = [
            frozen_columns("wish_stays", *WISH, once="OLD.id IS NOT NULL"),
            frozen_columns(
                "erased_stays",
                "status",
                "done_at",
                "events",
                "parts",
                "others",
                "kept",
                '"user"',
                '"values"',
                once="OLD.status = 'done'",
            ),
            frozen_row("erasure_kept", once="OLD.id IS NOT NULL"),
        ]
        constraints = [
            models.CheckConstraint(condition=~Q(reason=""), name="erasure_has_reason"),
            models.CheckConstraint(
                condition=Q(status="waiting", done_at=None)
                | Q(status="done", done_at__isnull=False, user=None, values=[]),
                name="erasure_forgets_whose",
            ),
        ]
        indexes = [
            models.Index(fields=["id"], name="erasure_waiting", condition=Q(status="waiting")),
            models.Index(fields=["customer_id", "-id"], name="erasure_customer"),
        ]


class ErasedRecord(models.Model):
    """What of an event, or of an authorization, was erased.

    Without such a row triggers refuse to let anything of either go. `record_id` is its id; `seq` an event's.
    `parts`: path -> `{"hash": ...}`, the commitment of what was erased (null for an authorization, which is
    not sealed), or `{"salt": ...}`, the salt of what is still there; both in hex. What was erased stays so.
    """

    pk = models.CompositePrimaryKey("customer_id", "record_id")
    customer_id = models.BigIntegerField()
    record_id = models.UUIDField()
    billing_entity_id = models.BigIntegerField()
    seq = models.BigIntegerField(null=True)
    parts = models.JSONField()
    erasure = models.ForeignKey(Erasure, models.PROTECT, related_name="records")
    erased_at = models.DateTimeField()

    class Meta:
        triggers = [
            frozen_columns(
                "erased_record_stays",
                "customer_id",
                "record_id",
                "billing_entity_id",
                "seq",
                once="OLD.record_id IS NOT NULL",
            ),
            frozen_row("erased_record_kept", once="OLD.record_id IS NOT NULL"),
        ]
