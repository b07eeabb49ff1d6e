"""What customers are told of a price change: rows of the outbox, in the transaction that causes them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from billing.models import OutboxMessage
from core.ids import public_id
from core.instants import instant_text
from pricing.models import Rollout, RolloutMember
from pricing.rollouts import WAITING, ceilings_of

NOTICE: Final = "rollout.notice"
CANCELED: Final = "rollout.canceled"
State = RolloutMember.State
logger = logging.getLogger(__name__)


def send_notices(rollout: Rollout, now: datetime) -> int:
    """Tell the customers who have not been told; gives how many subscriptions that is.

    Safe to run again, and by several at once: whose rows another transaction holds are left to it.
    """
    with transaction.atomic():
        rows = RolloutMember.objects.filter(WAITING, rollout=rollout, notified_at=None)
        rows = rows.select_related("from_version__plan", "to_version__plan").order_by("pk")
        members = list(rows.select_for_update(of=("self",), no_key=True, skip_locked=True))
        _tell(NOTICE, rollout, members, now)
        told = RolloutMember.objects.filter(pk__in=[member.pk for member in members])
        told.update(notified_at=now)
        told.filter(state=State.PENDING).update(state=State.NOTIFIED)
    return len(members)


def tell_canceled(rollout: Rollout, members: Iterable[RolloutMember], now: datetime) -> None:
    """Tell the customers of these members, who had been told of the change, that it does not come."""
    told = [member for member in members if member.notified_at is not None]
    _tell(CANCELED, rollout, told, now)


def deliver_outbox(now: datetime) -> int:
    """Log what waits in the outbox and mark it as delivered; gives how many messages that is.

    Each once: a row that another transaction holds is left to it.
    """
    return deliver(OutboxMessage.objects.filter(delivered_at=None), now)


def deliver(rows: QuerySet[OutboxMessage], now: datetime) -> int:
    """The same of these messages, 1,000 at most; those to nobody's customer are for the operator's staff."""
    with transaction.atomic():
        messages = list(rows.order_by("pk").select_for_update(skip_locked=True)[:1000])
        for message in messages:
            whose = message.customer_id
            to = "staff" if whose is None else f"customer {public_id('cus', whose)}"
            logger.info("%s for %s", message.kind, to)
        OutboxMessage.objects.filter(pk__in=[message.pk for message in messages]).update(delivered_at=now)
    return len(messages)


def _tell(kind: str, rollout: Rollout, members: list[RolloutMember], now: datetime) -> None:
    """One message for each customer, about all of its subscriptions."""
    messages = []
    by_customer = sorted(members, key=lambda member: (member.customer_id, member.pk))
    for customer_id, theirs in groupby(by_customer, key=lambda member: member.customer_id):
        changes = [_change(member) for member in theirs]
        first = changes[0]["subscription"]  # a customer may be told in two parts: each has its own key
        messages.append(
            OutboxMessage(
                kind=kind,
                key=f"{kind}/{rollout.public_id}/{first}",
                customer_id=customer_id,
                payload={"rollout": rollout.public_id, "name": rollout.name, "changes": changes},
                created_at=now,
            )
        )
    OutboxMessage.objects.bulk_create(messages)


def _change(member: RolloutMember) -> dict[str, Any]:
    return {
        "subscription": public_id("sub", member.subscription_id),
        "billing_entity": public_id("be", member.billing_entity_id),
        "from_version": public_id("pv", member.from_version_id),
        "to_version": public_id("pv", member.to_version_id),
        "effective_at": instant_text(member.effective_at),
        "introduces_overage": member.introduces_overage,
        "ceilings": ceilings_of(member) if member.introduces_overage else {},
    }
