"""What customers got back because a price change had cost them more than the old price would have."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from core.fields import AmountField
from core.ids import PublicId
from core.triggers import append_only


class MakeWholeCredit(models.Model):
    """The difference between new and old price of what one subscription used since its move.

    Once per rollout and subscription. `to_wallet` came as a grant, the rest lowered what the payer owed;
    `seq` is the payer's running number up to which usage was compared, `until` the instant.
    """

    public_id = PublicId("mwc")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    rollout_id = models.BigIntegerField()
    subscription_id = models.BigIntegerField()
    old_amount = AmountField()
    new_amount = AmountField()
    amount = AmountField()
    to_wallet = AmountField()
    seq = models.BigIntegerField()
    until = models.DateTimeField()
    created_at = models.DateTimeField()
    created_by = models.CharField(max_length=200)

    class Meta:
        triggers = [append_only()]
        constraints = [
            models.UniqueConstraint(fields=["rollout_id", "subscription_id"], name="made_whole_once"),
            models.CheckConstraint(
                condition=Q(amount__gt=0)
                & Q(to_wallet__gte=0)
                & Q(to_wallet__lte=models.F("amount"))
                & Q(amount=models.F("new_amount") - models.F("old_amount")),
                name="made_whole_is_the_difference",
            ),
        ]
