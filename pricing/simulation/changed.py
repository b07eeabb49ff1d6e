"""The bill of a period in which something happened: a change, a pause, a fee that is paid once. Pure.

Fees come from the schedule that is booked by (`pricing.fee_schedule`), usage from each run of a version.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from core.numbers import ZERO
from pricing.base_fees import DueFee
from pricing.cycles import Period, prorate
from pricing.fee_schedule import FeeSpan, scheduled_fees
from pricing.simulation.bills import (
    MINIMUM_SPEND,
    BillLine,
    SpanJob,
    TallyMaker,
    add,
    subtract,
    total_of,
)
from pricing.simulation.tallies import Tally


@dataclass(slots=True, eq=False)
class ChangedPeriod:
    """One billing period of one subscription; `jobs` are its runs on one version each, cut to the window.

    `spans` are the unpaused parts of the subscription's life, `once` the fees of the period that are paid
    once, `advance_until` where fees in advance reach to.
    """

    period: Period
    window: Period
    spans: Sequence[FeeSpan]
    once: Sequence[DueFee]
    trial_ends_at: datetime
    ends_at: datetime | None
    advance_until: datetime
    jobs: list[SpanJob]
    _lines: list[BillLine] | None = field(default=None)

    @property
    def tallies(self) -> dict[tuple[int, str], tuple[Tally, Tally | None]]:
        """Those of all runs, by the number of the run and the component's key."""
        return {
            (number, key): tallies
            for number, job in enumerate(self.jobs)
            for key, tallies in job.tallies.items()
        }

    def collect(self, tally_of: TallyMaker) -> None:
        """Take the tallies that the bill needs."""
        for job in self.jobs:
            job.collect(tally_of)

    def lines(self) -> list[BillLine]:
        """The fees, each run's components, and what is missing to the minimum spend of all runs."""
        if self._lines is None:
            self._lines = self._made_lines()
        return self._lines

    def _made_lines(self) -> list[BillLine]:
        lines = [*self._fee_lines(), *(line for job in self.jobs for line in job.component_lines())]
        commitment = ZERO
        for job in self.jobs:
            commitment = add(commitment, job.minimum_of(job.candidate.terms.minimum_spend))
        top_up = subtract(commitment, total_of(lines))
        return [*lines, BillLine(MINIMUM_SPEND, None, top_up)] if top_up > 0 else lines

    def lines_so_far(self) -> list[BillLine]:
        """Of a period that goes on: fees that were due by the end of the window, usage without minimums."""
        until = self.window.end
        fees = [fee for fee in [*self.once, *self._scheduled_fees()] if fee.due_at <= until]
        lines = [BillLine(fee.key, None, fee.amount) for fee in fees]
        return lines + [line for job in self.jobs for line in job.usage_so_far()]

    def _scheduled_fees(self) -> list[DueFee]:
        return scheduled_fees(
            self.spans,
            self.period,
            begins_at=self.trial_ends_at,
            ends_at=self.ends_at,
            advance_until=self.advance_until,
        )

    def _fee_lines(self) -> list[BillLine]:
        once = [fee for fee in self.once if self.window.start <= fee.due_at < self.window.end]
        lines = [BillLine(fee.key, None, fee.amount) for fee in once]
        for fee in self._scheduled_fees():
            amount = self._in_window(fee)
            if amount is not None:
                lines.append(BillLine(fee.key, None, amount))
        return lines

    def _in_window(self, fee: DueFee) -> Decimal | None:
        """What of a fee falls in the window, by time; None when that has nothing of it."""
        covers = fee.covers
        # What a fee covers beyond the subscription's end goes with the period's end.
        until = covers.end if self.window.end >= self.period.end else min(covers.end, self.window.end)
        taken = Period(max(covers.start, self.window.start), until)
        if taken == covers:
            return fee.amount
        if taken.start >= taken.end:
            return None
        span = next(each for each in reversed(self.spans) if each.starts_at <= covers.start)
        return prorate(fee.amount, covers, taken, span.terms.proration, zone=span.cycle.zone)


Job = SpanJob | ChangedPeriod
"""One period (or a part of it) of one subscription, as it is billed."""
