from __future__ import annotations

import pghistory
from django.db import models

from core.fields import AmountField
from core.triggers import bump_global


@pghistory.track()
class Currency(models.Model):
    """The operator's own unit of credits. ISO currencies need no row.

    `price` is what one unit costs in `price_currency` (ISO); wallets, ledger and rating treat a unit
    of credits like money.
    """

    code = models.CharField(max_length=12, primary_key=True)
    name = models.CharField(max_length=100)
    decimals = models.PositiveSmallIntegerField(default=0)
    price = AmountField()
    price_currency = models.CharField(max_length=3)
    created_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "currencies"
        triggers = [bump_global()]
        constraints = [
            models.CheckConstraint(condition=models.Q(decimals__lte=12), name="currency_decimals"),
            models.CheckConstraint(condition=models.Q(price__gt=0), name="currency_price_positive"),
            models.CheckConstraint(
                condition=models.Q(code__regex=r"^[A-Z][A-Z0-9_]{2,11}$"), name="currency_code_form"
            ),
        ]

    def __str__(self) -> str:
        return self.code
