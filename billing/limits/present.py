"""The windows that are open now: what the API and pages show of a limit, and what a new one begins with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from django.db.models import Q

from accounts.models import PayerAssignment
from billing.limits.catalogue import limit_of
from billing.limits.windows import Window
from billing.models import SpendLimit
from pricing.cycles import Period
from pricing.models import BillingPeriod, Subscription
from pricing.periods import cycle_of

Level = SpendLimit.Level


class Paying(NamedTuple):
    """Who pays at the level of a limit now, and in what."""

    payer_id: int
    currency: str


def present_windows(
    limits: Iterable[SpendLimit], now: datetime, payers: Mapping[int, Paying] | None = None
) -> dict[int, Window]:
    """The window of each limit (with its meter, key and workspace) that holds `now`, by the limit's id.

    A rolling one has no end. `payers` are those of `present_payers`, where they are known. A fixed number of
    statements.
    """
    limits = list(limits)
    paying = present_payers(limits, now) if payers is None else payers
    of = {pk: one.payer_id for pk, one in paying.items()}
    periods = billing_periods(set(of.values()), now)
    return {
        limit.pk: limit_of(limit).window_at(now, now, periods.get(of.get(limit.pk, 0))) for limit in limits
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


def present_payers(limits: Iterable[SpendLimit], now: datetime) -> dict[int, Paying]:
    """Who pays at the level of each limit now, by the limit's id, where that is one payer. One statement."""
    found: dict[int, Paying] = {}
    workspaces: dict[int, int] = {}
    for limit in limits:
        if limit.billing_entity_id is not None:
            found[limit.pk] = Paying(limit.billing_entity_id, limit.currency)
        elif limit.workspace_id is not None:
            workspaces[limit.pk] = limit.workspace_id
        elif limit.api_key is not None:
            workspaces[limit.pk] = limit.api_key.workspace_id
    is_running = (Q(starts_at=None) | Q(starts_at__lte=now)) & (Q(ends_at=None) | Q(ends_at__gt=now))
    rows = PayerAssignment.objects.filter(is_running, workspace_id__in=set(workspaces.values()))
    told = rows.values_list("workspace_id", "billing_entity_id", "billing_entity__currency")
    paying = {workspace_id: Paying(payer_id, currency) for workspace_id, payer_id, currency in told}
    return found | {
        pk: paying[workspace_id] for pk, workspace_id in workspaces.items() if workspace_id in paying
    }
