"""What a limit begins with: the spend of its window before it was set, and the thresholds it has passed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.conf import settings

from accounts.models import BillingEntity, Organization, Workspace
from billing.limits.catalogue import limit_of
from billing.limits.present import present_windows
from billing.limits.windows import Window, reached
from billing.models import LimitCounter, SpendLimit
from billing.store_late_limits import SpendQuestion, hold_too, spent_before
from billing.store_limits import FAR, CounterChange, CounterRange, add_limit_counters
from core.numbers import CONTEXT, ZERO
from core.sql import driver

Level = SpendLimit.Level


def count_what_was_spent(limit: SpendLimit, now: datetime) -> None:
    """Count the charges of the limit's present window, and what is held. All who may pay are locked.

    A window that does not roll gets its row even where nothing was spent, so that the limit's first row tells
    in which it was set. Nobody is alerted of what was spent before: the next threshold is the first to fire.
    """
    window = present_windows([limit], now)[limit.pk]
    question = _question(limit, window)
    hold_too(driver(), limit.customer_id, limit.counter, question, now)
    counter = CounterRange(limit.customer_id, limit.counter, *window)
    rows = spent_before(driver(), counter, question)
    if not rows and not limit.hours:
        rows = [CounterChange(counter, counter.since, ZERO, 0)]
    if rows:
        add_limit_counters(driver(), rows)
        remember_reached(limit, now)


def remember_reached(limit: SpendLimit, now: datetime) -> None:
    """Let the thresholds that the present window has passed already not fire, and all others fire anew."""
    window = present_windows([limit], now)[limit.pk]
    counters = LimitCounter.objects.filter(
        customer_id=limit.customer_id,
        counter=limit.counter,
        starts_at__gte=window.starts_at,
        starts_at__lt=window.ends_at,
    )
    used = ZERO
    for row in counters:
        used = CONTEXT.add(used, row.used)
    passed = reached(used, limit.amount, limit.thresholds, 0)
    counters.update(alerted=passed[-1] if passed else 0)


def _question(limit: SpendLimit, window: Window) -> SpendQuestion:
    slots = limit.hours if window.ends_at == FAR else None
    payers: list[int] | None = None
    workspaces: list[int] | None = None
    if limit.billing_entity_id is not None:
        payers = [limit.billing_entity_id]
    elif limit.workspace_id is not None:
        workspaces = [limit.workspace_id]
    elif limit.organization_id is not None:
        tree = subtree(limit.customer_id, limit.organization_id)
        workspaces = list(Workspace.objects.filter(organization_id__in=tree).values_list("pk", flat=True))
        payers = list(BillingEntity.objects.filter(organization_id__in=tree).values_list("pk", flat=True))
    return SpendQuestion(
        currency=limit.currency,
        since=window.starts_at,
        until=window.ends_at,
        recorded_since=window.starts_at - settings.EVENT_AHEAD_MAX,
        slot_minutes=slots,
        payers=payers,
        workspaces=workspaces,
        api_key_id=limit.api_key_id,
        meter_key=limit_of(limit).meter_key,
        meter_event=limit_of(limit).meter_event,
    )


def subtree(customer_id: int, organization_id: int) -> set[int]:
    """An organization and all below it."""
    children: dict[int | None, list[int]] = {}
    for pk, parent in Organization.objects.filter(customer_id=customer_id).values_list("pk", "parent_id"):
        children.setdefault(parent, []).append(pk)
    found: set[int] = set()
    waiting: Iterable[int] = [organization_id]
    while waiting:
        found |= set(waiting)
        waiting = [child for pk in waiting for child in children.get(pk, ()) if child not in found]
    return found
