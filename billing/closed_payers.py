"""A closed payer buys nothing more: its subscriptions end with it, and their fees."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from accounts.models import BillingEntity
from billing.ledger import lock_accounts
from billing.subscriptions.canceling import end_with_payer
from billing.subscriptions.usage import charged_until, promised_until
from core import clock
from core.sql import driver
from pricing.models import Subscription


@contextmanager
def end_subscriptions(payer_ids: Collection[int]) -> Iterator[None]:
    """Stand around the closing of payers: subscriptions end, at once or after what the payer stands for.

    Locks their accounts before their own rows are locked, for that is the order of all others.
    """
    entities = list(BillingEntity.objects.filter(pk__in=payer_ids).order_by("customer_id", "pk"))
    lock_accounts(driver(), [(each.customer_id, each.pk) for each in entities])
    yield
    now = clock.now()
    for entity in entities:
        charged, promised = charged_until(entity, now), promised_until(entity, now)
        rows = entity.subscriptions.exclude(status=Subscription.Status.ENDED).order_by("pk")
        running = list(rows.select_related("billing_entity", "version__plan"))
        end_with_payer(running, now, charged=charged, promised=promised)
