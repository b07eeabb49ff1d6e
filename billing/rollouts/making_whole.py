"""Giving back what a price change has cost customers more than the old price would have, once each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import BillingEntity
from billing.ledger import lock_accounts, read_owed
from billing.models import MakeWholeCredit
from billing.rollouts.comparing import Comparison, compare_member
from billing.wallets import adjust, lower_receivable
from core import clock
from core.errors import Conflict
from core.numbers import CONTEXT, ZERO
from core.partitions import ensure_month
from core.sql import driver
from pricing.models import Rollout, RolloutMember

State = RolloutMember.State


@dataclass(frozen=True, slots=True)
class MadeWhole:
    """One subscription: both prices now, and the credit that it has got; None = none yet."""

    comparison: Comparison
    credit: MakeWholeCredit | None

    @property
    def due(self) -> Decimal:
        """What it would be given now: nothing twice, and nothing when the change was to its gain."""
        return max(ZERO, self.comparison.difference) if self.credit is None else ZERO


def preview_make_whole(rollout: Rollout) -> list[MadeWhole]:
    """Old against new price of everything charged since a rollout, per moved subscription. Writes nothing."""
    now = clock.now()
    given = {row.subscription_id: row for row in MakeWholeCredit.objects.filter(rollout_id=rollout.pk)}
    return [
        MadeWhole(compare_member(member, now), given.get(member.subscription_id))
        for member in _moved(rollout)
    ]


def make_whole(rollout: Rollout, *, by: str = "") -> list[MakeWholeCredit]:
    """Credit each moved subscription the difference that it has not been given; safe to run again.

    What the payer owes comes first, the rest goes to its wallet as promotional credit. One transaction
    per subscription, or the caller's; closed payers get nothing. Raises Conflict when nobody was moved.
    """
    pks = list(_moved(rollout).values_list("pk", flat=True))
    if not pks:
        raise Conflict("nothing_moved", f"{rollout.public_id} has moved nobody.")
    return list(_credits(pks, by))


def _moved(rollout: Rollout) -> QuerySet[RolloutMember]:
    """By payer, in the order in which payers are locked."""
    rows = RolloutMember.objects.filter(rollout=rollout, state__in=[State.MOVED, State.ROLLED_BACK])
    rows = rows.select_related(
        "from_version__plan", "to_version__plan", "subscription__version", "subscription__billing_entity"
    )
    return rows.order_by("customer_id", "billing_entity_id", "pk")


def _credits(pks: list[int], by: str) -> Iterator[MakeWholeCredit]:
    for pk in pks:
        credit = _credit_once(pk, clock.now(), by)
        if credit is not None:
            yield credit


def _credit_once(pk: int, now: datetime, by: str) -> MakeWholeCredit | None:
    ensure_month(now)
    with transaction.atomic():
        list(RolloutMember.objects.filter(pk=pk).select_for_update(no_key=True).values_list("pk"))
        member = _member(pk)
        done = MakeWholeCredit.objects.filter(
            rollout_id=member.rollout_id, subscription_id=member.subscription_id
        )
        entity = BillingEntity.objects.get(pk=member.billing_entity_id)
        if done.exists() or entity.status == BillingEntity.Status.CLOSED:
            return None
        payer = (entity.customer_id, entity.pk)
        ((_, _, _, _, seq, *_),) = lock_accounts(driver(), [payer])
        compared = compare_member(member, now)
        if compared.difference <= 0:
            return None
        to_wallet = _give(entity, compared.difference, member, by)
        return MakeWholeCredit.objects.create(
            customer_id=entity.customer_id,
            billing_entity_id=entity.pk,
            rollout_id=member.rollout_id,
            subscription_id=member.subscription_id,
            old_amount=compared.old_amount,
            new_amount=compared.new_amount,
            amount=compared.difference,
            to_wallet=to_wallet,
            seq=seq,
            until=now,
            created_at=now,
            created_by=by,
        )


def _member(pk: int) -> RolloutMember:
    rows = RolloutMember.objects.select_related(
        "rollout",
        "from_version__plan",
        "to_version__plan",
        "subscription__version",
        "subscription__billing_entity",
    )
    return rows.get(pk=pk)


def _give(entity: BillingEntity, amount: Decimal, member: RolloutMember, by: str) -> Decimal:
    """Lower what the payer owes, and put the rest into its wallet; gives the rest."""
    reason = f"made whole: {member.rollout.public_id}, {member.subscription.public_id}"
    to_receivable = min(_owed(entity), amount)
    if entity.settlement == BillingEntity.Settlement.INVOICE_ONLY:
        to_receivable = amount  # it has no wallet: beyond what it owes it is in credit
    if to_receivable:
        lower_receivable(entity, to_receivable, reason=reason, by=by)
    to_wallet = CONTEXT.subtract(amount, to_receivable)
    if to_wallet:
        adjust(entity, to_wallet, reason=reason, by=by)
    return to_wallet


def _owed(entity: BillingEntity) -> Decimal:
    row = read_owed(driver(), [(entity.customer_id, entity.pk)]).fetchone()
    return ZERO if row is None else max(ZERO, row[2].copy_negate())
