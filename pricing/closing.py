"""What the close of a period adds to what was charged with each event. Pure but for the timeline it reads.

Minimums and commitments fall to a segment by its share of a whole cycle; F itself never does.
docs/algorithms/closing.md has the worked tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from core.numbers import CONTEXT, ZERO
from pricing.cycles import Period, prorate
from pricing.models import Segment
from pricing.rating.component import Component
from pricing.rating.state import State
from pricing.terms import terms_of
from pricing.timeline import Timeline, timelines_of

USAGE: Final = "usage"
ZERO_USAGE: Final = "zero_usage"
MINIMUM: Final = "minimum"
COMMITMENT: Final = "commitment"


@dataclass(frozen=True, slots=True)
class Addition:
    """A part of what the close adds to a component (or, as a commitment, to a period); never negative
    but for usage that is settled anew after the close."""

    kind: str
    amount: Decimal


def additions(
    component: Component, states: Iterable[State], minimum: Decimal, charged: Decimal | None = None
) -> list[Addition]:
    """What is missing at the close of a segment, so that all that was booked is `component.close(states)`.

    `charged` is what was booked for its usage: None where each event was charged when it came, so that
    nothing of the usage itself is missing. Parts of 0 are left out.
    """
    states = tuple(states)
    subtotal = component.subtotal(states)
    usage = component.total(subtotal)
    with_fee = component.total(CONTEXT.add(subtotal, component.zero_usage_fee(states)))
    whole = max(with_fee, minimum)
    parts = [
        Addition(USAGE, ZERO if charged is None else CONTEXT.subtract(usage, charged)),
        Addition(ZERO_USAGE, CONTEXT.subtract(with_fee, usage)),
        Addition(MINIMUM, CONTEXT.subtract(whole, with_fee)),
    ]
    return [part for part in parts if part.amount]


def shortfall(commitment: Decimal, spent: Decimal) -> Decimal:
    """What is missing to a commitment; 0 when it is reached."""
    return max(ZERO, CONTEXT.subtract(commitment, spent))


def share(segment: Segment, amount: Decimal, timeline: Timeline | None = None) -> Decimal:
    """The part of a whole cycle's `amount` that falls to a segment, less what of it lies in the trial.

    The segment comes with its version, subscription and payer. `timeline`: its subscription's, if the caller
    has it.
    """
    if not amount:
        return ZERO
    terms, subscription = terms_of(segment.version), segment.subscription
    if timeline is None:
        timeline = timelines_of([subscription])[subscription.pk]
    cycle = timeline.cycle_at(segment.starts_at)
    begins = max(segment.starts_at, timeline.trial_ends_at())
    if begins >= segment.ends_at:
        return ZERO
    return prorate(
        amount,
        cycle.period_at(segment.starts_at),
        Period(begins, segment.ends_at),
        terms.proration,
        zone=cycle.zone,
        counts_last_day=segment.ends_at == subscription.ends_at,
    )
