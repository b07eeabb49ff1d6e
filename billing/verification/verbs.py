"""Recomputing all that is booked of payers from stored events and versions, payer by payer, and comparing.

Each payer is read in a snapshot of its own, so charging may go on. Memory does not grow with charges; time
does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import psycopg

from accounts.models import BillingEntity
from billing.recompute import charges_of, is_proved, recompute_charges
from billing.replay import replay_differences
from billing.seals.verifying import SAYS
from billing.seals.verifying import Verification as SealVerification
from billing.store_snapshot import snapshot
from billing.store_verification import compare_balances, find_gaps, find_wrong_balances_told
from billing.verification.charges import charge_differences
from core.ids import hot_id, public_id
from core.numbers import ZERO, plain
from pricing.models import BillingPeriod, Segment

CHARGE, BALANCE, PERIOD, NUMBER, SEAL = "charge", "balance", "period", "number", "seal"
TOLD_EVERY: Final = 1000
"""Charges between two reports of progress."""


class Window(NamedTuple):
    """The billing periods that share an instant with `[start, end)`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """Something of a payer that does not come out again: `field` of `subject`, both sides as text."""

    billing_entity: str
    kind: str
    subject: str
    field: str
    stored: str
    recomputed: str


@dataclass(slots=True)
class Verified:
    """How much was recomputed."""

    payers: int = 0
    charges: int = 0
    balances: int = 0
    periods: int = 0
    sealed_rows: int = 0
    differences: int = 0
    on_progress: Callable[[Verified], None] | None = field(default=None, repr=False)

    def charged(self) -> None:
        """One charge more."""
        self.charges += 1
        if self.on_progress is not None and not self.charges % TOLD_EVERY:
            self.on_progress(self)


def verify(
    payers: Iterable[BillingEntity], done: Verified, window: Window | None = None
) -> Iterator[Difference]:
    """The differences of all payers, as they are found; `done` grows meanwhile.

    With a `window`, only charges and closes of its periods are looked at.
    """
    for payer in payers:
        with snapshot() as raw:
            for difference in _verify_payer(raw, payer, done, window):
                done.differences += 1
                yield difference
        done.payers += 1
        if done.on_progress is not None:
            done.on_progress(done)


def _verify_payer(
    raw: psycopg.Connection[Any], payer: BillingEntity, done: Verified, window: Window | None
) -> Iterator[Difference]:
    periods = None if window is None else _periods(payer, window)
    segments = None if periods is None else _segments(periods)
    if periods is None:
        yield from _numbers(raw, payer)
    yield from _charges(payer, done, segments)
    if periods is None:
        yield from _balances(raw, payer, done)
    yield from _closes(payer, done, periods, segments)
    if periods is None:
        yield from _seals(raw, payer, done)


def _periods(payer: BillingEntity, window: Window) -> set[int]:
    rows = BillingPeriod.objects.filter(
        subscription__billing_entity=payer, starts_at__lt=window.end, ends_at__gt=window.start
    )
    return set(rows.values_list("pk", flat=True))


def _segments(periods: set[int]) -> set[int]:
    return set(Segment.objects.filter(period_id__in=periods).values_list("pk", flat=True))


def _numbers(raw: psycopg.Connection[Any], payer: BillingEntity) -> Iterator[Difference]:
    """Each number of a payer has a row."""
    for low, high in find_gaps(raw, (payer.customer_id, payer.pk)):
        name = f"number {low}" if low == high else f"numbers {low} to {high}"
        yield Difference(payer.public_id, NUMBER, name, "rows", "none", "at least one")


def _charges(payer: BillingEntity, done: Verified, segments: set[int] | None) -> Iterator[Difference]:
    """Each charge, its lines and their positions, from its event and its version."""
    rows = charges_of(payer.customer_id, payer.pk)
    for charge, again in recompute_charges(rows, segments):
        done.charged()
        if is_proved(charge, again):
            continue
        for found in charge_differences(charge, again, segments):
            place = "" if found.component is None else f"{found.component}."
            yield Difference(
                payer.public_id,
                CHARGE,
                charge.public_id,
                f"{place}{found.field}",
                "nothing" if found.stored is None else found.stored,
                "nothing" if found.recomputed is None else found.recomputed,
            )


def _balances(raw: psycopg.Connection[Any], payer: BillingEntity, done: Verified) -> Iterator[Difference]:
    """Each account's balance from its entries, and the balance that each charge told."""
    key = (payer.customer_id, payer.pk)
    for kind, kept, moved, differs in compare_balances(raw, key):
        done.balances += 1
        if differs:
            sides = plain(kept or ZERO), plain(moved or ZERO)
            yield Difference(payer.public_id, BALANCE, kind, "balance", *sides)
    for charge_id, _, told, moved in find_wrong_balances_told(raw, key):
        charge = hot_id("ch", payer.customer_id, charge_id)
        yield Difference(payer.public_id, BALANCE, charge, "settled_after", plain(told), plain(moved))


def _closes(
    payer: BillingEntity, done: Verified, periods: set[int] | None, segments: set[int] | None
) -> Iterator[Difference]:
    """What was booked for each component of each period, from the payer's events and version history."""
    own = BillingPeriod.objects.filter(subscription__billing_entity=payer)
    done.periods += own.count() if periods is None else len(periods)
    for found in replay_differences(payer):
        is_meant = periods is None or found.period_id in periods or found.segment_id in (segments or ())
        if is_meant:
            name = f"period {found.period_id}"
            if found.segment_id is not None:
                name = f"{name}, {public_id('seg', found.segment_id)}"
            sides = plain(found.booked), plain(found.replayed)
            yield Difference(payer.public_id, PERIOD, name, found.component, *sides)


def _seals(raw: psycopg.Connection[Any], payer: BillingEntity, done: Verified) -> Iterator[Difference]:
    """Each sealed row from what it was when it was sealed."""
    run = SealVerification(raw, [(payer.customer_id, payer.pk, 0)])
    for misfit in run.misfits():
        yield Difference(payer.public_id, SEAL, misfit.subject, misfit.cause, SAYS[misfit.cause], "")
    done.sealed_rows += run.rows
