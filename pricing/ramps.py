"""When the phases of a plan's ramp begin for a subscription. Pure."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from pricing.catalog import PlanTerms
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
