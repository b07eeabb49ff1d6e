"""What a payer's subscriptions entitle it to now, and what of it is used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from django.db.models import Q

from accounts.models import BillingEntity
from billing.charging.entitling import COUNTED, quota_range
from billing.charging.older_holds import missed_by
from billing.store_limits import CounterRange, read_limit_counters
from core.numbers import CONTEXT, ZERO
from core.sql import driver
from metering.catalogue import CompiledMeter, compile_meter
from metering.models import Meter
from pricing.catalog.entitlements import EntitlementTerms
from pricing.cycles import Cycle, Interval
from pricing.models import Subscription
from pricing.terms import terms_of
from pricing.timeline import Span, timelines_of

Whose = tuple[int, str]
"""A payer's id and a feature."""


class Quota(NamedTuple):
    """Where a metered entitlement is counted, and the meter that it bounds."""

    range: CounterRange
    meter: Meter


@dataclass(frozen=True, slots=True)
class Entitlement:
    """A feature as all running subscriptions of a payer together give it.

    boolean: `value`. limit and metered: `limit`, and of a quota `used`, `held` (by open holds, whose calls
    may come) and `remaining` until `resets_at`; these are None for what is not counted call by call.
    `heard_by`: the meter that it names.
    """

    feature: str
    type: str
    value: bool | None = None
    limit: Decimal | None = None
    meter: str | None = None
    reset: str | None = None
    used: Decimal | None = None
    held: Decimal | None = None
    resets_at: datetime | None = None
    heard_by: Meter | None = None

    @property
    def remaining(self) -> Decimal | None:
        """What the next call may have of a quota; below zero where more was reported."""
        if self.used is None or self.held is None or self.limit is None:
            return None
        return CONTEXT.subtract(self.limit, CONTEXT.add(self.used, self.held))


def entitlements_of(entity: BillingEntity, now: datetime) -> list[Entitlement]:
    """The payer's entitlements at `now`, by feature; a fixed number of statements."""
    return entitlements_by_payer([entity], now)[entity.pk]


def entitlements_by_payer(entities: Iterable[BillingEntity], now: datetime) -> dict[int, list[Entitlement]]:
    """The entitlements of each payer at `now`, by its id; a fixed number of statements."""
    payers = {entity.pk: entity for entity in entities}
    found: dict[Whose, Entitlement] = {}
    quotas: dict[Whose, Quota] = {}
    spans = [(payers[pk], span, terms_of(span.version)) for pk, span in _running(payers, now)]
    meters = _meters(one.meter for _, _, terms in spans for one in terms.entitlements)
    for payer, span, terms in spans:
        for one in terms.entitlements:
            whose, meter = (payer.pk, one.feature), meters.get(one.meter or "")
            found[whose] = _joined(found.get(whose), one, meter)
            is_counted = one.type == "metered" and meter is not None and meter.aggregation in COUNTED
            if meter is not None and is_counted and whose not in quotas:
                reset, zone = one.reset or "month", ZoneInfo(payer.time_zone)
                cycle = Cycle.anchored(Interval(reset), terms.anchor, span.anchor_at, zone)
                place = (payer.customer_id, payer.pk, meter.pk)
                range_ = quota_range(*place, reset, cycle.period_at(now), is_resumed=True)
                quotas[whose] = Quota(range_, meter)
    for whose, (used, held) in _taken(quotas, now).items():
        found[whose] = replace(found[whose], used=used, held=held, resets_at=quotas[whose].range.until)
    return {pk: [found[whose] for whose in sorted(found) if whose[0] == pk] for pk in payers}


def _running(payer_ids: Iterable[int], now: datetime) -> list[tuple[int, Span]]:
    """What holds now of each subscription that does not rest, with its payer's id.

    By its changes: a worker may be late, and one that is canceled while it rests does so to its end.
    """
    running = Subscription.objects.filter(
        Q(ends_at=None) | Q(ends_at__gt=now), billing_entity_id__in=list(payer_ids), starts_at__lte=now
    )
    rows = list(running.select_related("version", "billing_entity").order_by("pk"))
    timelines = timelines_of(rows, until=now)
    spans = [(row.billing_entity_id, timelines[row.pk].at(now)) for row in rows]
    return [(pk, span) for pk, span in spans if not span.is_paused]


def _meters(keys: Iterable[str | None]) -> dict[str, Meter]:
    wanted = {key for key in keys if key}
    return {meter.key: meter for meter in Meter.objects.filter(key__in=wanted)} if wanted else {}


def _joined(known: Entitlement | None, terms: EntitlementTerms, meter: Meter | None) -> Entitlement:
    """The same feature of another subscription: one true is enough, quotas add up, of limits the largest."""
    new = Entitlement(
        terms.feature, terms.type, terms.value, terms.limit, terms.meter, terms.reset, heard_by=meter
    )
    if known is None or known.type != new.type:
        return known or new
    if new.limit is None or known.limit is None:
        return replace(known, value=bool(known.value or new.value))
    is_quota = new.type == "metered"
    limit = CONTEXT.add(known.limit, new.limit) if is_quota else max(known.limit, new.limit)
    return replace(known, limit=limit)


def _taken(quotas: Mapping[Whose, Quota], now: datetime) -> dict[Whose, tuple[Decimal, Decimal]]:
    """What is used and what is held of each quota, as the next call would find it."""
    if not quotas:
        return {}
    raw, names = driver(), list(quotas)
    used: dict[Whose, Decimal] = {}
    reserved: dict[str, Decimal] = {}
    behind: dict[str, tuple[CounterRange, CompiledMeter]] = {}
    answer = read_limit_counters(raw, [quota.range for quota in quotas.values()], now)
    for position, _, _, _, held, metered, misses_holds in answer:
        whose = names[position - 1]
        range_, meter = quotas[whose]
        used[whose], reserved[range_.counter] = metered or ZERO, held or ZERO
        if misses_holds:
            behind[range_.counter] = (range_, compile_meter(meter))
    for _, _, counter, quantity in missed_by(raw, behind, now) if behind else ():
        reserved[counter] = CONTEXT.add(reserved[counter], quantity)
    return {whose: (used[whose], reserved[quota.range.counter]) for whose, quota in quotas.items()}
