"""When the base fees of a billing period are due, and how much they come to. Pure.

A fee covers its period less the trial. In advance it is due when that begins, in arrears when the period
ends; with `prorate` a part of a cycle costs a part of the fee, without it the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from pricing.catalog.fees import FeeTerms
from pricing.catalog.plans import PlanTerms
from pricing.cycles import Cycle, Period, prorate

IN_ARREARS: Final = "in_arrears"


@dataclass(frozen=True, slots=True)
class Life:
    """A subscription as its base fees see it; `quantities` are those it keeps, by fee key."""

    starts_at: datetime
    ends_at: datetime | None
    cycle: Cycle
    quantities: Mapping[str, Decimal]


@dataclass(frozen=True, slots=True)
class DueFee:
    """One fee of one period, exact to 18 decimals. `covers` is what it is paid for."""

    key: str
    timing: str
    due_at: datetime
    covers: Period
    amount: Decimal


def fees_of_period(terms: PlanTerms, life: Life, period: Period) -> list[DueFee]:
    """The fees of one billing period, in the order of the plan; none for a period inside the trial."""
    begins = max(period.start, trial_end(terms, life))
    if begins >= period.end:
        return []
    covered = Period(begins, period.end)
    return [
        DueFee(
            key=fee.key,
            timing=fee.timing,
            due_at=covered.end if fee.timing == IN_ARREARS else covered.start,
            covers=covered,
            amount=_amount(fee, terms, life, covered),
        )
        for fee in terms.base_fees
    ]


def trial_end(terms: PlanTerms, life: Life) -> datetime:
    """When the trial ends: the same time of day, so many days of the payer's calendar later."""
    local = life.starts_at.astimezone(life.cycle.zone)
    return (local + timedelta(days=terms.trial_days)).astimezone(UTC)


def _amount(fee: FeeTerms, terms: PlanTerms, life: Life, covered: Period) -> Decimal:
    amount = fee.amount_for(life.quantities.get(fee.key))
    if not fee.prorate:
        return amount
    return prorate(
        amount,
        life.cycle.period_at(covered.start),
        covered,
        terms.proration,
        zone=life.cycle.zone,
        counts_last_day=covered.end == life.ends_at,
    )
