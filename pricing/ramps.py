"""When the phases of a plan's ramp begin for a subscription, and which one holds. Pure."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from pricing.catalog import PlanTerms, phase_terms
from pricing.cycles import local_midnight
from pricing.cycles.midnight import local_day


def phase_starts(terms: PlanTerms, start: datetime, zone: ZoneInfo) -> list[datetime]:
    """The instants, in UTC, at which the phases begin for a subscription that came to the plan at `start`.

    At local midnights of the payer: of the dates, or so many months after the local day of the start, clamped
    to the month's end (31 Jan + 1 month is 28 Feb, + 2 months 31 Mar).
    """
    first = local_day(start, zone)
    days = [phase.starts_on or first + relativedelta(months=phase.after_months or 0) for phase in terms.ramps]
    return [local_midnight(day, zone) for day in days]


def ramp_phase_at(terms: PlanTerms, start: datetime, instant: datetime, zone: ZoneInfo) -> int:
    """The number of the phase that holds at `instant`, from 1; 0 = before the first one."""
    return sum(begins <= instant for begins in phase_starts(terms, start, zone))


def terms_at(terms: PlanTerms, start: datetime, instant: datetime, zone: ZoneInfo) -> PlanTerms:
    """The terms that hold at `instant` for a subscription that came to the plan at `start`."""
    number = ramp_phase_at(terms, start, instant, zone)
    return phase_terms(terms, number) if number else terms
