"""Double entry. A transfer moves an amount > 0 from one account to another of the same payer, so a
payer's accounts always sum to zero. `billing.ledger` is the only writer."""

from __future__ import annotations

from django.db import models

from core.fields import AmountField


class LedgerAccount(models.Model):
    """One of a payer's accounts. `balance` is what came in less what went out.

    `wallet`: what the payer may still use (negative: overdrawn). `receivable`: negative = what the
    payer owes for accrued usage. `revenue`: earned. `cash`: negative = paid in. `promotional`:
    negative = given away. `breakage`: expired value. `leakage`: negative = usage absorbed by the
    operator. `adjustments`: corrections by staff.

    `seq` is the last running number that moved it. The wallet row always carries the payer's last
    number: every writer locks that row, and allots numbers from it. `held` is reserved by open
    authorizations (wallet row only).

    `turnover` and `throughput` (wallet row only) never fall: at least what any spend limit, and any quota, of
    the payer alone has counted or held since ever. By how much they have grown tells whoever has read a limit
    before how much fuller it may be (docs/algorithms/limits.md, "Calm limits").
    """

    class Kind(models.TextChoices):
        WALLET = "wallet"
        RECEIVABLE = "receivable"
        REVENUE = "revenue"
        CASH = "cash"
        PROMOTIONAL = "promotional"
        BREAKAGE = "breakage"
        LEAKAGE = "leakage"
        ADJUSTMENTS = "adjustments"

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "kind")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    kind = models.CharField(max_length=12, choices=Kind)
    balance = AmountField(default=0)
    held = AmountField(default=0)
    seq = models.BigIntegerField(default=0)
    turnover = AmountField(default=0, db_default=0)
    throughput = AmountField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(held__gte=0), name="held_not_negative"),
            models.CheckConstraint(
                condition=models.Q(
                    kind__in=[
                        "wallet",
                        "receivable",
                        "revenue",
                        "cash",
                        "promotional",
                        "breakage",
                        "leakage",
                        "adjustments",
                    ]
                ),
                name="account_kind",
            ),
        ]


class Transfer(models.Model):
    """`amount` from `source` to `destination`. Append-only, partitioned by month of recorded_at.

    All transfers of one `seq` are one ledger transaction. `reference` names what caused it: a
    charge (its UUID), a grant, a top-up, an adjustment. `grant_id`: the block of credit that gave or got
    value.
    """

    class Reason(models.TextChoices):
        USAGE = "usage"
        BASE_FEE = "base_fee"
        TOP_UP = "top_up"
        GRANT = "grant"
        EXPIRY = "expiry"
        ADJUSTMENT = "adjustment"
        REVERSAL = "reversal"
        CLOSE = "close"
        ROLLOVER = "rollover"
        COUPON = "coupon"
        CORRECTION = "correction"

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "seq", "position", "recorded_at")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    position = models.SmallIntegerField()
    recorded_at = models.DateTimeField()
    reason = models.TextField(choices=Reason)
    reference = models.TextField()
    source = models.TextField()
    destination = models.TextField()
    amount = AmountField()
    grant_id = models.BigIntegerField(null=True)


class LedgerTransaction(models.Model):
    """A view: the transfers of one `seq` as one transaction."""

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "seq")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    recorded_at = models.DateTimeField()
    reason = models.TextField()
    reference = models.TextField()
    transfers = models.IntegerField()
    amount = AmountField()

    class Meta:
        managed = False
        db_table = "billing_ledgertransaction"


class LedgerEntry(models.Model):
    """A view: the two sides of each transfer; amounts out are negative."""

    pk = models.CompositePrimaryKey("customer_id", "billing_entity_id", "seq", "position", "kind")
    customer_id = models.BigIntegerField()
    billing_entity_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    position = models.SmallIntegerField()
    kind = models.TextField()
    recorded_at = models.DateTimeField()
    amount = AmountField()

    class Meta:
        managed = False
        db_table = "billing_ledgerentry"
