"""Spend limits with whose they are and how full, and the alerts that they caused, for pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from accounts.models import BillingEntity, Currency
from accounts.scoping import Viewer, visible
from billing.limits.filling import Fill, fills_of
from billing.limits.windows import begin_of
from billing.models import Alert, SpendLimit
from billing.reports.levels import find_levels, level_name
from billing.reports.refusals import LEVELS
from billing.store_limit_fills import filled_at
from core.numbers import CONTEXT

WINDOWS: Final[Mapping[str, str]] = {"billing_period": "billing period", "day": "day", "rolling": "hours"}


@dataclass(frozen=True, slots=True)
class LimitRow:
    """A limit that stands, with its present window."""

    limit: SpendLimit
    unit: str | Currency
    fill: Fill

    @property
    def name(self) -> str:
        """Whose spend it bounds."""
        return name_of(self.limit)

    @property
    def level(self) -> str:
        """Its level in words."""
        return LEVELS[self.limit.level]

    @property
    def window(self) -> str:
        """Its window in words."""
        return window_of(self.limit)

    @property
    def filled(self) -> Decimal | None:
        """What is used and held as a part of the limit; None of a limit of nothing."""
        taken = CONTEXT.add(self.fill.used, self.fill.held)
        return CONTEXT.divide(taken, self.limit.amount) if self.limit.amount else None


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert, and the name of whose limit it was. `window`: that of the limit, in words."""

    alert: Alert
    name: str
    unit: str | Currency
    window: str = ""

    @property
    def level(self) -> str:
        """Its level in words, with the limit's window: there may be several limits at one level."""
        level = LEVELS.get(self.alert.level, self.alert.level)
        return f"{level}, {self.window}" if self.window else level


def name_of(limit: SpendLimit) -> str:
    """Whose spend a limit bounds, by name."""
    if limit.meter is not None and limit.billing_entity is not None:
        return f"{limit.meter.name} of {limit.billing_entity.name}"
    owner = limit.api_key or limit.workspace or limit.organization or limit.billing_entity
    return "" if owner is None else owner.name


def window_of(limit: SpendLimit) -> str:
    """`each day`, or `any 6 hours`."""
    return f"any {limit.hours} hours" if limit.hours else f"each {WINDOWS[limit.window]}"


def standing_limits(viewer: Viewer) -> QuerySet[SpendLimit]:
    """The limits that hold, with all that names them."""
    rows = visible(SpendLimit, viewer).filter(ended_at=None)
    return rows.select_related("customer", "api_key", "workspace", "organization", "billing_entity", "meter")


def with_fill(rows: QuerySet[SpendLimit], now: datetime) -> QuerySet[SpendLimit]:
    """Limits with `filled`, to order and narrow them by: what `LimitRow.filled` shows, and 1 of a limit of
    nothing. One statement, for the kinds of windows; it adds none to reading the rows."""
    kinds = rows.order_by().values_list("window", "hours", "time_zone").distinct()
    begins = {kind: begin_of(kind[0], kind[1], ZoneInfo(kind[2]), now) for kind in kinds}
    return rows.annotate(filled=filled_at(now, begins))


def describe_limits(
    units: Mapping[str, Currency], now: datetime, rows: Sequence[SpendLimit]
) -> list[LimitRow]:
    """Limits of a page with their fill; a fixed number of statements."""
    fills = fills_of(rows, now)
    return [LimitRow(row, units.get(row.currency, row.currency), fills[row.pk]) for row in rows]


def describe_alerts(
    viewer: Viewer,
    payers: Mapping[int, BillingEntity],
    units: Mapping[str, Currency],
    rows: Sequence[Alert],
) -> list[AlertRow]:
    """Alerts of a customer (with these payers) with names; one statement."""
    limits = visible(SpendLimit, viewer).select_related(
        "api_key", "workspace", "organization", "billing_entity", "meter"
    )
    found = limits.in_bulk({row.limit_id for row in rows if row.limit_id is not None})
    others = [(row.level, row.level_id) for row in rows if row.limit_id is None]
    whose = find_levels(viewer, others, {"billing_entity": payers})

    def described(row: Alert) -> AlertRow:
        unit = units.get(row.currency, row.currency)
        limit = found.get(row.limit_id or 0)
        if limit is not None:
            return AlertRow(row, name_of(limit), unit, window_of(limit))
        owner = whose.get((row.level, row.level_id))
        return AlertRow(row, row.level_id if owner is None else level_name(row.level, owner), unit)

    return [described(row) for row in rows]
