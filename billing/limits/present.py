"""The windows that are open now: what the API and pages show of a limit, and what a new one begins with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from django.db.models import Q

from accounts.models import PayerAssignment
from billing.limits.catalogue import limit_of
from billing.limits.windows import Window
from billing.models import SpendLimit
from pricing.cycles import Period
from pricing.models import BillingPeriod, Subscription
from pricing.periods import cycle_of

Level = SpendLimit.Level


def present_windows(limits: Iterable[SpendLimit], now: datetime) -> dict[int, Window]:
    """The window of each limit (with its meter, key and workspace) that holds `now`, by the limit's id.

    A rolling one has no end. A fixed number of statements.
    """
    limits = list(limits)
    payers = _payers(limits, now)
    periods = billing_periods(set(payers.values()), now)
    return {
        limit.pk: limit_of(limit).window_at(now, now, periods.get(payers.get(limit.pk, 0)))
        for limit in limits
    }


def billing_periods(payer_ids: Iterable[int], now: datetime) -> dict[int, Period]:
    """The billing period of each payer at `now`: that of its oldest running subscription."""
    running = Subscription.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now), billing_entity_id__in=list(payer_ids), starts_at__lte=now
    )
    first: dict[int, Subscription] = {}
    for row in running.select_related("version", "billing_entity").order_by("pk"):
        first.setdefault(row.billing_entity_id, row)
    rows = BillingPeriod.objects.filter(
        subscription_id__in=[row.pk for row in first.values()], starts_at__lte=now, ends_at__gt=now
    )
    there: Mapping[int, Period] = {
        pk: Period(start, end)
        for pk, start, end in rows.values_list("subscription_id", "starts_at", "ends_at")
    }
    return {payer_id: there.get(row.pk) or cycle_of(row).period_at(now) for payer_id, row in first.items()}


def _payers(limits: Iterable[SpendLimit], now: datetime) -> dict[int, int]:
    """Who pays at the level of each limit now, where that is one payer."""
    found: dict[int, int] = {}
    workspaces: dict[int, int] = {}
    for limit in limits:
        if limit.billing_entity_id is not None:
            found[limit.pk] = limit.billing_entity_id
        elif limit.workspace_id is not None:
            workspaces[limit.pk] = limit.workspace_id
        elif limit.api_key is not None:
            workspaces[limit.pk] = limit.api_key.workspace_id
    is_running = (Q(starts_at=None) | Q(starts_at__lte=now)) & (Q(ends_at=None) | Q(ends_at__gt=now))
    rows = PayerAssignment.objects.filter(is_running, workspace_id__in=set(workspaces.values()))
    paying = dict(rows.values_list("workspace_id", "billing_entity_id"))
    return found | {
        pk: paying[workspace_id] for pk, workspace_id in workspaces.items() if workspace_id in paying
    }
