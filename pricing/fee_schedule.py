"""What the base fees of a period come to over all that happened in it: versions, quantities, pauses. Pure.

A fee with `prorate` costs each part of the period its share of what was agreed for that part. A fee
without costs the whole once, at the highest amount that any part of the period asks for.
`docs/algorithms/proration.md` has the worked tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from operator import attrgetter
from typing import Final, NamedTuple

from core.numbers import CONTEXT, ZERO
from pricing.base_fees import IN_ARREARS, DueFee
from pricing.catalog.fees import AFTER_TRIAL, FeeTerms
from pricing.catalog.plans import PlanTerms
from pricing.cycles import Cycle, Period, prorate

ONCE: Final = "once"
"""The timing of a fee that each subscription pays once."""


@dataclass(frozen=True, slots=True)
class FeeSpan:
    """A part of a subscription's life on one version, with the same quantities, and not paused.

    `ends_at` None: nothing follows; the period's end or the subscription's ends it.
    """

    starts_at: datetime
    ends_at: datetime | None
    terms: PlanTerms
    quantities: Mapping[str, Decimal]
    cycle: Cycle


@dataclass(frozen=True, slots=True)
class Booked:
    """What was booked for one fee from one instant on: the sum, and up to where the last of it reached."""

    amount: Decimal
    ends_at: datetime
    due_at: datetime
    timing: str


@dataclass(frozen=True, slots=True)
class FeeDelta:
    """What is still to be booked for a fee: more (`amount` > 0) or back (< 0), as of `at`."""

    key: str
    timing: str
    covers: Period
    amount: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class _Piece:
    fee: FeeTerms
    whole: Decimal
    covers: Period
    span: FeeSpan


class Ending(NamedTuple):
    """How a subscription ends, as its fees see it. `ends_at` None: it goes on."""

    ends_at: datetime | None = None
    canceled_at: datetime | None = None
    credits_unused: bool = False


def advance_until(period: Period, trial_ends_at: datetime, cycle: Cycle, ending: Ending) -> datetime:
    """How far fees in advance cover a period: to its end; to the cycle's, where a cancellation after they
    were due gives nothing back."""
    canceled_at = ending.canceled_at
    if canceled_at is None or ending.ends_at != period.end or ending.credits_unused:
        return period.end
    if canceled_at < max(period.start, trial_ends_at):
        return period.end
    return cycle.period_at(period.start).end


def scheduled_fees(
    spans: Sequence[FeeSpan],
    period: Period,
    *,
    begins_at: datetime,
    ends_at: datetime | None,
    advance_until: datetime,
) -> list[DueFee]:
    """All fees of one period, in the order of their time and the plan's.

    `begins_at` is the trial's end, `ends_at` the subscription's. Fees in advance cover the period up to
    `advance_until`: its end, or beyond it where a cancellation gives nothing back.
    """
    pieces: dict[str, list[_Piece]] = {}
    for span in spans:
        for fee in span.terms.base_fees:
            until = period.end if fee.timing == IN_ARREARS else advance_until
            covers = _part(span, Period(max(period.start, begins_at), until))
            if covers is not None:
                whole = fee.amount_for(span.quantities.get(fee.key))
                _append(pieces.setdefault(fee.key, []), _Piece(fee, whole, covers, span))
    due: list[DueFee] = []
    for parts in pieces.values():
        due += [_prorated(piece, period, ends_at) for piece in parts if piece.fee.prorate]
        due += _once([piece for piece in parts if not piece.fee.prorate], period)
    return sorted(due, key=lambda fee: fee.due_at)


def one_off_fees(
    terms: PlanTerms, starts_at: datetime, period: Period, trial_ends_at: datetime
) -> list[DueFee]:
    """The fees that are paid once which fall into a period: when the subscription starts, or when its trial
    ends. `terms` are those that it started on.
    """
    due = []
    for fee in terms.one_off_fees:
        at = max(starts_at, trial_ends_at) if fee.due == AFTER_TRIAL else starts_at
        if fee.amount and period.start <= at < period.end:
            due.append(DueFee(fee.key, ONCE, at, Period(at, period.end), fee.amount))
    return due


def outstanding(
    due: Iterable[DueFee], booked: Mapping[tuple[str, datetime], Booked], now: datetime
) -> list[FeeDelta]:
    """What is to be booked by `now`, so that what is booked is what is due: credits before fees.

    What is unused goes back when the time that the fee still covers has gone by.
    """
    wanted = {(fee.key, fee.covers.start): fee for fee in due if fee.due_at <= now}
    deltas = []
    for key, fee in wanted.items():
        had = booked.get(key)
        amount = fee.amount if had is None else CONTEXT.subtract(fee.amount, had.amount)
        at = _instant(fee, had, amount, now)
        if amount and at <= now:
            deltas.append(FeeDelta(fee.key, fee.timing, fee.covers, amount, at))
    for key, had in booked.items():
        if key not in wanted and had.amount:
            covers = Period(key[1], had.ends_at)
            deltas.append(FeeDelta(key[0], had.timing, covers, had.amount.copy_negate(), key[1]))
    return sorted(deltas, key=lambda delta: (delta.at, delta.amount > ZERO))


def _instant(fee: DueFee, had: Booked | None, amount: Decimal, now: datetime) -> datetime:
    """When a difference is booked: a fee when due, a credit when what it covers ends, a correction now."""
    if had is None or fee.due_at > had.due_at:
        return fee.due_at
    return fee.covers.end if amount < 0 and fee.covers.end < had.ends_at else now


def _part(span: FeeSpan, within: Period) -> Period | None:
    start = max(span.starts_at, within.start)
    end = within.end if span.ends_at is None else min(span.ends_at, within.end)
    return Period(start, end) if start < end else None


def _append(pieces: list[_Piece], piece: _Piece) -> None:
    """Add a piece; one that follows its like without a gap makes it longer."""
    last = pieces[-1] if pieces else None
    if (
        last is not None
        and last.covers.end == piece.covers.start
        and (last.whole, last.fee.timing, last.fee.prorate)
        == (piece.whole, piece.fee.timing, piece.fee.prorate)
        and (last.span.cycle, last.span.terms.proration) == (piece.span.cycle, piece.span.terms.proration)
    ):
        covers = Period(last.covers.start, piece.covers.end)
        pieces[-1] = _Piece(last.fee, last.whole, covers, last.span)
    else:
        pieces.append(piece)


def _prorated(piece: _Piece, period: Period, ends_at: datetime | None) -> DueFee:
    cycle = piece.span.cycle
    amount = prorate(
        piece.whole,
        cycle.period_at(piece.covers.start),
        piece.covers,
        piece.span.terms.proration,
        zone=cycle.zone,
        counts_last_day=piece.covers.end == ends_at,
    )
    in_arrears = piece.fee.timing == IN_ARREARS
    due_at = period.end if in_arrears else piece.covers.start
    return DueFee(piece.fee.key, piece.fee.timing, due_at, piece.covers, amount)


def _once(pieces: Sequence[_Piece], period: Period) -> list[DueFee]:
    if not pieces:
        return []
    highest = max(pieces, key=attrgetter("whole"))
    due_at = period.end if highest.fee.timing == IN_ARREARS else highest.covers.start
    covers = Period(pieces[0].covers.start, pieces[-1].covers.end)
    return [DueFee(highest.fee.key, highest.fee.timing, due_at, covers, highest.whole)]
