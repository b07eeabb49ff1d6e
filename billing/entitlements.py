"""What a payer's subscriptions entitle it to now, and what of it is used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Q

from accounts.models import BillingEntity
from billing.charging.entitling import COUNTED, quota_range
from billing.store_limits import CounterRange, read_limit_counters
from core.numbers import CONTEXT, ZERO
from core.sql import driver
from metering.models import Meter
from pricing.catalog.entitlements import EntitlementTerms
from pricing.cycles import Cycle, Interval
from pricing.models import Subscription
from pricing.terms import terms_of


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A feature as all running subscriptions of a payer together give it.

    boolean: `value`. limit and metered: `limit`, and of a quota `used` and `remaining` until `resets_at`.
    `used` is None for what is not counted call by call.
    """

    feature: str
    type: str
    value: bool | None = None
    limit: Decimal | None = None
    meter: str | None = None
    reset: str | None = None
    used: Decimal | None = None
    resets_at: datetime | None = None

    @property
    def remaining(self) -> Decimal | None:
        """What is left of a quota; below zero where more was reported."""
        if self.used is None or self.limit is None:
            return None
        return CONTEXT.subtract(self.limit, self.used)


def entitlements_of(entity: BillingEntity, now: datetime) -> list[Entitlement]:
    """The payer's entitlements at `now`, by feature; a fixed number of statements."""
    found: dict[str, Entitlement] = {}
    ranges: dict[str, CounterRange] = {}
    rows = list(_running(entity, now))
    terms_by = {row.pk: terms_of(row.version) for row in rows}
    meters = _meters(one.meter for terms in terms_by.values() for one in terms.entitlements)
    for row in rows:
        terms = terms_by[row.pk]
        for one in terms.entitlements:
            found[one.feature] = _joined(found.get(one.feature), one)
            meter = meters.get(one.meter or "")
            is_counted = one.type == "metered" and meter is not None and meter.aggregation in COUNTED
            if meter is not None and is_counted and one.feature not in ranges:
                zone = ZoneInfo(entity.time_zone)
                cycle = Cycle.anchored(Interval(one.reset or "month"), terms.anchor, row.anchor_at, zone)
                place = (entity.customer_id, entity.pk, meter.pk)
                period = cycle.period_at(now)
                reset = one.reset or "month"
                ranges[one.feature] = quota_range(*place, reset, period, is_resumed=True)
    for feature, used in _used(ranges, now).items():
        found[feature] = replace(found[feature], used=used, resets_at=ranges[feature].until)
    return [found[feature] for feature in sorted(found)]


def _running(entity: BillingEntity, now: datetime) -> Iterable[Subscription]:
    rows = Subscription.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now),
        customer_id=entity.customer_id,
        billing_entity=entity,
        starts_at__lte=now,
    )
    return rows.exclude(status=Subscription.Status.PAUSED).select_related("version").order_by("pk")


def _meters(keys: Iterable[str | None]) -> dict[str, Meter]:
    wanted = {key for key in keys if key}
    return {meter.key: meter for meter in Meter.objects.filter(key__in=wanted)} if wanted else {}


def _joined(known: Entitlement | None, terms: EntitlementTerms) -> Entitlement:
    """The same feature of another subscription: one true is enough, quotas add up, of limits the largest."""
    new = Entitlement(terms.feature, terms.type, terms.value, terms.limit, terms.meter, terms.reset)
    if known is None or known.type != new.type:
        return known or new
    if new.limit is None or known.limit is None:
        return replace(known, value=bool(known.value or new.value))
    is_quota = new.type == "metered"
    limit = CONTEXT.add(known.limit, new.limit) if is_quota else max(known.limit, new.limit)
    return replace(known, limit=limit)


def _used(ranges: dict[str, CounterRange], now: datetime) -> dict[str, Decimal]:
    if not ranges:
        return {}
    features = list(ranges)
    answer = read_limit_counters(driver(), list(ranges.values()), now)
    return {features[position - 1]: metered or ZERO for position, *_, metered, _ in answer}
