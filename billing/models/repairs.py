"""What was done about discrepancies: each repair with all that it wrote, for good."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from billing.models.reconciliation import Discrepancy
from core.ids import PublicId
from core.triggers import append_only


class Repair(models.Model):
    """One action that was carried out on a discrepancy. Append-only.

    `writes` are the rows that it wrote, each `{"table", "row", "before", "after"}` (before null: a new row);
    `facts` is the digest of what its preview showed, which still held when it was done. `seq` is the payer's
    number of the entries that it posted, null where it only rebuilt what is derived.
    """

    public_id = PublicId("rpr")
    ONLY_OPERATORS = True

    discrepancy = models.ForeignKey(Discrepancy, models.PROTECT, related_name="repairs")
    customer_id = models.BigIntegerField(null=True)
    billing_entity_id = models.BigIntegerField(null=True)
    action = models.CharField(max_length=40)
    reason = models.TextField()
    writes = models.JSONField()
    facts = models.CharField(max_length=64)
    seq = models.BigIntegerField(null=True)
    done_at = models.DateTimeField()
    done_by = models.CharField(max_length=200)

    class Meta:
        triggers = [append_only()]
        constraints = [models.CheckConstraint(condition=~Q(reason=""), name="repair_has_reason")]
        indexes = [models.Index(fields=["customer_id", "-id"], name="repair_customer")]
