"""What a version's subscriptions brought in their last period, by component and by fee.

The last period of a subscription is the latest one that has ended or, while none has, the one that runs.
Revenue is exact and in the plan's currency; minimums that the close trues up are not in it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from core.numbers import CONTEXT, ZERO
from pricing.base_fees import IN_ARREARS, Life, fees_of_period
from pricing.catalog import PlanTerms
from pricing.catalog.diff import Change
from pricing.cycles import Cycle, Period
from pricing.models import Component, PlanVersion
from pricing.rating.fields import Fields
from pricing.rating.modifiers import AmountModifiers
from pricing.store_revenue import ComponentTerms, PeriodFacts, last_periods, usage_revenue
from pricing.terms import terms_of


class PartRevenue(NamedTuple):
    """What one component or fee brought, and how many subscriptions paid for it."""

    subscriptions: int
    revenue: Decimal


NOTHING = PartRevenue(0, ZERO)


@dataclass(frozen=True, slots=True)
class VersionRevenue:
    """A version's running subscriptions and what their last period brought."""

    subscriptions: int
    components: Mapping[str, PartRevenue]
    base_fees: Mapping[str, PartRevenue]

    @property
    def total(self) -> Decimal:
        """Of all parts."""
        total = ZERO
        for part in (*self.components.values(), *self.base_fees.values()):
            total = CONTEXT.add(total, part.revenue)
        return total

    def touched_by(self, change: Change) -> PartRevenue:
        """How many of the subscriptions paid for what the change is about, and what it brought.

        A term of the whole plan touches all of them, and all that they brought.
        """
        if change.section == "components" and change.part is not None:
            return self.components.get(change.part, NOTHING)
        if change.section == "base_fees" and change.part is not None:
            return self.base_fees.get(change.part, NOTHING)
        if change.part is not None:
            return PartRevenue(self.subscriptions, ZERO)
        return PartRevenue(self.subscriptions, self.total)


def version_revenue(version: PlanVersion, now: datetime) -> VersionRevenue:
    """What the version's running subscriptions brought in their last period. At most four statements."""
    periods = last_periods(version.pk, now)
    if not periods:
        return VersionRevenue(0, {}, {})
    rows = Component.objects.filter(version__plan=version.plan_id)
    terms = {pk: _terms(key, raw) for pk, key, raw in rows.values_list("pk", "key", "definition")}
    usage = {
        row.key: PartRevenue(row.subscriptions, row.revenue) for row in usage_revenue(version.pk, now, terms)
    }
    return VersionRevenue(len(periods), usage, _fees(periods))


def _terms(key: str, definition: Mapping[str, object]) -> ComponentTerms:
    modifiers = AmountModifiers.read(Fields(definition, ""))
    return ComponentTerms(key, modifiers.share_left, modifiers.maximum)


def _fees(periods: list[PeriodFacts]) -> dict[str, PartRevenue]:
    """The base fees that were booked for these periods, by the function that booked them."""
    versions = PlanVersion.objects.in_bulk({facts.version_id for facts in periods})
    terms = {pk: terms_of(version) for pk, version in versions.items()}
    found: defaultdict[str, PartRevenue] = defaultdict(lambda: NOTHING)
    for facts in periods:
        for key, amount in _booked(terms[facts.version_id], facts):
            payers, revenue = found[key]
            found[key] = PartRevenue(payers + 1, CONTEXT.add(revenue, amount))
    return dict(found)


def _booked(terms: PlanTerms, facts: PeriodFacts) -> list[tuple[str, Decimal]]:
    if not terms.base_fees:
        return []
    cycle = Cycle.anchored(terms.interval, terms.anchor, facts.anchor_at, ZoneInfo(facts.time_zone))
    quantities = {key: Decimal(value) for key, value in json.loads(facts.quantities).items()}
    life = Life(facts.starts_at, facts.ends_at, cycle, quantities)
    fees = fees_of_period(terms, life, Period(facts.period_start, facts.period_end))
    return [
        (fee.key, fee.amount)
        for fee in fees
        if fee.amount and (facts.is_over if fee.timing == IN_ARREARS else facts.has_begun)
    ]
