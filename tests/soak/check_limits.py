"""Spend limits, counted again from the charges: what an ask took fitted into the limit as it then stood.

Charges of one payer follow each other by `seq`. Of two payers' charges only what was answered before the
other was begun is known to come first; a charge is judged by what is known to have come before it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from tests.soak.books import Books, Charged
from tests.soak.check_answers import ASKED, key_of
from tests.soak.journal import Act, Journal
from tests.soak.members import Bound, Customer, World

ZERO: Final = Decimal(0)
FOREVER: Final = float("inf")
DAY_SECONDS: Final = 86_400
ROLLING: Final = timedelta(hours=23)
"""Well within the rolling windows that are set: older usage may or may not count."""


class Setting(NamedTuple):
    """A limit was set to `amount` (None: ended) at some time between the two."""

    sent_at: float
    answered_at: float
    amount: Decimal | None


@dataclass
class Watched:
    """A limit, with all that it was ever set to; before its first setting there is none.

    Of windows that were over by then it says nothing of what had been spent: docs/algorithms/limits.md.
    """

    bound: Bound
    settings: list[Setting] = field(default_factory=list)

    def most(self, since: float, until: float) -> Decimal | None:
        """The highest amount that may have been in force in this time; None for no limit."""
        known = [one for one in self.settings if one.answered_at <= since]
        first = max((one.sent_at for one in known), default=None)
        if first is None:
            return None
        # What was answered before another one was sent is over when that one is answered.
        possible = [one for one in self.settings if one.sent_at <= until and one.answered_at >= first]
        amounts = [one.amount for one in possible]
        return None if None in amounts else max(amount for amount in amounts if amount is not None)

    def surely_counts(self, charge: Charged, window: datetime) -> bool:
        """Whether a charge counts in the limit's window, which it does in an earlier one only if it came
        after the first setting."""
        first = min(self.settings, key=lambda one: one.answered_at)
        is_over = self.bound.window == "day" and window.timestamp() + DAY_SECONDS <= first.answered_at
        return not is_over or charge.recorded_at.timestamp() >= first.answered_at


class Spent(NamedTuple):
    """A charge as a limit sees it: it was decided between `since` and `until`."""

    payer: int
    seq: int
    amount: Decimal
    since: float
    until: float


def check_limits(journal: Journal, books: Books, world: World) -> Iterator[str]:
    """Each sentence is an ask that a limit should have refused, or a limit that counts otherwise than we."""
    told: dict[str, list[Act]] = defaultdict(list)
    for act in journal.of(*ASKED, "report", done=True):
        for key in act.about.get("keys") or [key_of(act)]:
            told[key].append(act)
    for customer in world.customers:
        charges = [one for one in books.charges if one.customer == customer.id]
        for watched in _watched(journal, customer):
            yield from _check_limit(watched, charges, customer, told)
        for bound in customer.limits:
            if bound.window != "rolling":
                yield from _check_counters(bound, charges, customer, books)


def _watched(journal: Journal, customer: Customer) -> Iterator[Watched]:
    settings: dict[str, list[Setting]] = defaultdict(list)
    for act in journal.of("limit", "end_limit", "new_limit", done=True):
        amount = None if act.kind == "end_limit" else Decimal(act.body["amount"])
        limit = act.about.get("limit") or act.answer["id"]
        settings[limit].append(Setting(act.sent_at, act.answered_at, amount))
    for bound in customer.limits:
        yield Watched(bound, [Setting(0, 0, bound.first), *settings[bound.id]])
    for act in journal.of("new_limit", done=True):
        if act.about["customer"] == customer.name:
            amount = Decimal(act.body["amount"])
            bound = Bound(act.answer["id"], "workspace", act.about["workspace"], "day", "moved", amount)
            yield Watched(bound, settings[bound.id])


def _check_limit(
    watched: Watched, charges: list[Charged], customer: Customer, told: dict[str, list[Act]]
) -> Iterator[str]:
    windows: dict[datetime, list[tuple[Charged, Spent]]] = defaultdict(list)
    for charge in charges:
        window = window_of(watched.bound, charge)
        if window is not None and counts_in(watched.bound, charge, customer):
            windows[window].append((charge, _spent(charge, told)))
    for window, spent in windows.items():
        counted = [one for charge, one in spent if watched.surely_counts(charge, window)]
        for charge, one in spent:
            if not charge.is_first or one.amount <= 0 or not _is_plain(told.get(charge.key, ())):
                continue
            most = watched.most(one.since, one.until)
            before = spent_before(one, counted)
            if most is not None and before + one.amount > most:
                yield (
                    f"limit {watched.bound} stood at {most} at most; {charge.key} took {one.amount}"
                    f" when {before} was spent already"
                )


def _spent(charge: Charged, told: dict[str, list[Act]]) -> Spent:
    answered = [act.answered_at for act in told.get(charge.key, ())] if charge.is_first else []
    since = charge.recorded_at.timestamp()
    return Spent(charge.payer, charge.seq, charge.counted, since, min(answered, default=FOREVER))


def _is_plain(acts: list[Act] | tuple[()]) -> bool:
    """Whether it asked, and nothing was promised: a capture takes what is held whatever became of it."""
    return any(act.kind == "charge" for act in acts)


def spent_before(one: Spent, others: list[Spent]) -> Decimal:
    """The least that was spent when a charge was decided."""
    total = ZERO
    for other in others:
        if other.payer == one.payer:
            total += other.amount if other.seq < one.seq else ZERO
        elif other.until < one.since:
            total += other.amount
        elif other.since <= one.until:
            total += min(ZERO, other.amount)
    return total


def counts_in(bound: Bound, charge: Charged, customer: Customer) -> bool:
    """Whether a limit is one of the charge's."""
    if bound.level == "api_key":
        return charge.api_key == bound.owner
    if bound.level == "workspace":
        return charge.workspace == bound.owner
    if bound.level == "billing_entity":
        return charge.payer == bound.owner
    return bound.owner in customer.organizations_of(charge.workspace, charge.payer)


def window_of(bound: Bound, charge: Charged) -> datetime | None:
    """The start of the window that a charge counts in; None for what may have left a rolling one."""
    at = charge.occurred_at.astimezone(UTC)
    if bound.window == "rolling":
        is_old = charge.occurred_at < charge.recorded_at - ROLLING
        return None if is_old else datetime.fromtimestamp(0, UTC)
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day if bound.window == "day" else day.replace(day=1)


def _check_counters(bound: Bound, charges: list[Charged], customer: Customer, books: Books) -> Iterator[str]:
    """What a limit that stood all the time says is used is the sum of its charges."""
    sums: dict[datetime, Decimal] = defaultdict(lambda: ZERO)
    for charge in charges:
        if counts_in(bound, charge, customer):
            window = window_of(bound, charge)
            assert window is not None
            sums[window] += charge.counted
    used: dict[datetime, Decimal] = defaultdict(lambda: ZERO)
    for starts_at, amount in books.counters.get(bound.id, {}).items():
        # The first billing period begins with the subscription, in the middle of a month.
        used[starts_at if bound.window == "day" else starts_at.replace(day=1)] += amount
    for window in sorted(sums.keys() | used.keys()):
        if used[window] != sums[window]:
            yield f"limit {bound} counts {used[window]} from {window} on; its charges are {sums[window]}"
