"""Telling staff of a period below its floor when it was no call that brought it there: costs known later."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from accounts.models import BillingEntity, Customer
from billing.margin_floors.planning import floors_at
from billing.margin_floors.rule import Sums, is_below
from billing.margin_floors.sums import FloorAt, Kind, alert_row, is_behind, kept_before
from billing.models import PayerMarginFloor
from billing.store_margins import PeriodKey, keep_periods, periods_of, tell
from core.sql import driver
from pricing.catalog.plans import MarginFloor
from pricing.pricelist import read_prices


def tell_below(entity: BillingEntity, now: datetime) -> None:
    """Tell staff of the payer's kept periods that are below their floor, once each; the payer is locked.

    One statement for a payer without kept periods.
    """
    raw = driver()
    rows = periods_of(raw, entity.customer_id, entity.pk)
    until = kept_before(now, entity.time_zone)
    keep_periods(raw, [(row.key, until) for row in rows if is_behind(row, until)])
    rows = [row for row in rows if not row.told_below]
    if not rows:
        return
    floors = floors_of(entity)
    alerts = []
    for row in rows:
        at = floors.get(row.key)
        sums = Sums(row.events, row.costed, row.revenue, row.cost)
        if at is not None and is_below(at.floor, sums):
            alerts.append(alert_row(Kind.BELOW_FLOOR, at, sums, entity.currency, why="later_cost"))
    tell(raw, alerts, now)


def floors_of(entity: BillingEntity) -> Mapping[PeriodKey, FloorAt]:
    """The floors of all of a payer's periods."""
    version = Customer.objects.values_list("config_version", flat=True).get(pk=entity.customer_id)
    prices = read_prices({entity.pk: version})[entity.pk]
    row = PayerMarginFloor.objects.filter(billing_entity=entity).first()
    own = None if row is None else MarginFloor(row.min_margin, row.min_volume, row.action)
    return {at.key: at for segment in prices.segments for at in floors_at(entity, own, [segment])}
