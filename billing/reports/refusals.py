"""What was refused, by reason and level, and what was spent below the floor, by cause: over all customers,
and of the refusals those of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum

from accounts.models import BillingEntity
from accounts.scoping import Viewer, visible
from billing.models import Denial, Overspend
from core.numbers import CONTEXT, ZERO

LEVELS: Final[Mapping[str, str]] = {
    "api_key": "API key",
    "workspace": "Workspace",
    "meter": "Meter",
    "organization": "Organization",
    "billing_entity": "Payer",
}
"""The levels of limits, the nearest to the call first, in words."""
REFUSING: Final[Mapping[str, str]] = {
    **LEVELS,
    "entitlement": "Entitlement",
    "authorization": "Hold",
    "subscription": "Subscription",
}
"""All levels that refuse: beside limits and funds a feature, a hold that is captured, a version's floor."""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows with the same words: how many, of how many payers, and their worth by currency."""

    words: tuple[str, ...]
    number: int
    payers: int
    amounts: Mapping[str, Decimal]


def denial_groups(viewer: Viewer, since: datetime) -> list[Group]:
    """Denials since an instant by (reason, level), the most first. One statement."""
    rows = visible(Denial, viewer).filter(denied_at__gte=since)
    return _groups(rows, ("reason", "level"), Sum("expected_amount"))


def own_denial_groups(
    viewer: Viewer, customer_id: int, payers: Mapping[int, BillingEntity], since: datetime
) -> list[Group]:
    """The same of one customer with these payers, as it may see them: a margin floor is the operator's own
    business, so whose it is makes no difference. One statement."""
    rows = visible(Denial, viewer).filter(customer_id=customer_id, denied_at__gte=since)
    summed = (
        rows.order_by()
        .values("reason", "level", "billing_entity_id")
        .annotate(number=Count("*"), worth=Sum("expected_amount"))
    )
    told = []
    for row in summed:
        payer = payers.get(row["billing_entity_id"])
        if payer is None:
            continue
        is_floor = row["reason"] == Denial.Reason.MARGIN_FLOOR
        level = "billing_entity" if is_floor else row["level"]
        told.append(row | {"level": level, "payers": 1, "currency": payer.currency})
    return _folded(told, ("reason", "level"))


def overspend_groups(viewer: Viewer, since: datetime) -> list[Group]:
    """Overspend since an instant by (cause,), the most first. One statement."""
    rows = visible(Overspend, viewer).filter(recorded_at__gte=since)
    return _groups(rows, ("cause",), Sum("amount"))


def sum_of(groups: Iterable[Group]) -> dict[str, Decimal]:
    """The worth of all groups by currency. Pure."""
    total: dict[str, Decimal] = {}
    for group in groups:
        for code, amount in group.amounts.items():
            total[code] = CONTEXT.add(total.get(code, ZERO), amount)
    return dict(sorted(total.items()))


def _groups(rows: QuerySet[Any], names: tuple[str, ...], worth: Sum) -> list[Group]:
    """By payer first, so that a payer counts once, whatever its currency."""
    currency = BillingEntity.objects.filter(pk=OuterRef("billing_entity_id")).values("currency")
    summed = (
        rows.order_by()
        .annotate(currency=Subquery(currency))
        .values(*names, "currency")
        .annotate(number=Count("*"), payers=Count("billing_entity_id", distinct=True), worth=worth)
    )
    return _folded(summed, names)


def _folded(rows: Iterable[Mapping[str, Any]], names: tuple[str, ...]) -> list[Group]:
    """Rows by their words, the most first: of each currency and payer there may be one."""
    found: dict[tuple[str, ...], Group] = {}
    for row in rows:
        words, code = tuple(row[name] for name in names), row["currency"]
        before = found.get(words, Group(words, 0, 0, {}))
        found[words] = Group(
            words,
            before.number + row["number"],
            before.payers + row["payers"],
            {**before.amounts, code: CONTEXT.add(before.amounts.get(code, ZERO), row["worth"])},
        )
    return sorted(found.values(), key=lambda group: (-group.number, group.words))
