"""Calm payers: those of whose limits and quotas a process knows enough not to read them for every call.

Whoever reads a window under its payer's lock sees how far it is from its next alert or refusal, and what the
payer's turnover (of a quota: throughput) is. These never fall, and grow by at least what comes into any
window of the payer alone. So as long as they have grown by less than that distance, nothing can have happened
since, whoever charged, and the next call only adds to the rows. docs/algorithms/limits.md has the rule.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import Decimal
from itertools import count
from typing import Any, Final

import psycopg

from billing.charging.entitling import Need
from billing.charging.stale import StaleConfig
from billing.charging.tallies import Tally
from billing.limits.catalogue import NEVER, Course
from billing.store_limits import Calm, CounterRange, Reader
from core.numbers import CONTEXT, ZERO
from core.pipeline import session_number

NEAR: Final = Decimal(64)
"""A window that has less than a 64th of its bound left is read every time: its calls are likely to matter."""
HALF: Final = Decimal("0.5")
RESTLESS: Final = Decimal(4)
"""A window that did not bear a call is calm again when it bears so many of it."""
add, multiply, subtract = CONTEXT.add, CONTEXT.multiply, CONTEXT.subtract

_doubts: Final = count(1)
_doubt = 0


def reader_of(connection: psycopg.Connection[Any]) -> Reader:
    """Who reads over a connection, as long as nobody has doubted what was read."""
    return session_number(connection), _doubt


def doubt() -> None:
    """Use nothing any more that was read until now: a row that was known is not what it was."""
    global _doubt
    _doubt = next(_doubts)


class Quiet:
    """What a batch adds to the limits and quotas of one payer, none of which it has read.

    `money`, `units`: how much may still come into them, as far as is known; `turned`, `put`: how much the
    batch has brought. `changes`: what to add, by the id and the counter of a row. `beside`: all of the batch.
    """

    __slots__ = (
        "beside",
        "changes",
        "courses",
        "money",
        "put",
        "quotas",
        "reader",
        "turned",
        "units",
        "version",
    )

    def __init__(self, reader: Reader, version: int | None, beside: Collection[Quiet] = ()) -> None:
        self.reader = reader
        self.beside = beside
        self.version = version
        self.courses: dict[Course, Calm] = {}
        self.quotas: dict[CounterRange, Calm] = {}
        self.changes: dict[tuple[int, str], Decimal] = {}
        self.money = self.units = NEVER
        self.turned = self.put = ZERO

    def knows(self, course: Course | None, *, is_asked: bool) -> bool:
        """Whether enough is known of where a call's spend counts, if it does. What is reported may count in
        an earlier slot of a rolling window."""
        if course is None:
            return True
        if not is_asked and course.rolls:
            return False
        if course in self.courses:
            return True
        calm = self._known(course)
        if calm is None:
            return False
        self.courses[course] = calm
        return True

    def knows_quotas(self, needs: Iterable[Need]) -> bool:
        """Whether enough is known of the quotas that a call needs."""
        for need in needs:
            quota = need.range
            if quota is None or need.quota is None:
                continue
            calm = self.quotas.get(quota) or self._known(quota)
            if calm is None or need.quota < calm.bound:
                return False
            self.quotas[quota] = calm
        return True

    def _known(self, place: Course | CounterRange) -> Calm | None:
        calm = place.calm  # other threads may set it at any moment
        if calm is None or calm.reader != self.reader or calm.version != self.version:
            return None
        return calm

    def open(self, turnover: Decimal, throughput: Decimal) -> bool:
        """See how much may come, by what the payer's row says now; False when too little is known."""
        for course, calm in self.courses.items():
            self.money = min(self.money, _left(course, calm, turnover))
        for quota, calm in self.quotas.items():
            self.units = min(self.units, _left(quota, calm, throughput))
        return self.money > ZERO and self.units > ZERO

    def bear(self, course: Course | None, amount: Decimal) -> None:
        """Raise StaleConfig when it may be too much for a limit: then they are read."""
        if course is not None and add(self.turned, amount) >= self.money:
            raise self._disturbed(course, add(self.turned, amount))

    def bear_units(self, quota: CounterRange, quantity: Decimal) -> None:
        """The same of a quota."""
        if add(self.put, quantity) >= self.units:
            raise self._disturbed(quota, add(self.put, quantity))

    def spend(self, course: Course | None, amount: Decimal) -> None:
        """Count an amount in all limits of a course."""
        if course is None or not amount:
            return
        self.bear(course, amount)
        if amount > ZERO:
            self.turned = add(self.turned, amount)
        for _, range_, _ in course.counted:
            self._change(range_, amount)

    def use(self, quota: CounterRange, quantity: Decimal) -> None:
        """Count a quantity in a quota."""
        self.bear_units(quota, quantity)
        if quantity > ZERO:
            self.put = add(self.put, quantity)
        self._change(quota, quantity)

    def _change(self, range_: CounterRange, amount: Decimal) -> None:
        row = (range_.row, range_.texts[1])  # two ranges may have one: a quota's, of two segments
        known = self.changes.get(row)
        self.changes[row] = amount if known is None else add(known, amount)

    def forget(self) -> None:
        """Let the next batch read all of it."""
        for course in self.courses:
            course.calm = None
        for quota in self.quotas:
            quota.calm = None

    def _disturbed(self, place: Course | CounterRange, amount: Decimal) -> StaleConfig:
        """The batch is done again, once: with everything read, whoever else would not have been calm."""
        for quiet in self.beside or (self,):
            quiet.forget()
        place.needed = multiply(amount, RESTLESS)
        return StaleConfig([], is_global=False)


def _left(place: Course | CounterRange, calm: Calm, mark: Decimal) -> Decimal:
    """How much may come of what could when it was read; 0 or less when it has to be read."""
    came = subtract(mark, calm.mark)
    if came < ZERO or came > multiply(calm.room, HALF):
        place.calm = None  # the next batch reads it beforehand
    return ZERO if came < ZERO else subtract(calm.room, came)


def remember(
    place: Course | CounterRange, tallies: Iterable[Tally], reader: Reader, version: int, mark: Decimal
) -> None:
    """Keep how far the windows that count in a place were from their bounds, as they were read; nothing where
    one has to be read every time. `mark`: what the payer's turnover or throughput was."""
    place.calm = None
    room = NEVER
    bound = ZERO
    for tally in tallies:
        if not tally.may_be_calm:
            return
        bound = tally.bound
        left = subtract(bound, tally.taken)
        if left <= place.needed or multiply(left, NEAR) < bound:
            return
        room = min(room, left)
    place.calm = Calm(reader, version, bound, room, mark)
