"""The model's spend limits, after docs/algorithms/limits.md: what was used is a sum over what was spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from tests.model.days import Span, day_of, month_of
from tests.model.wallet import Hold

ZERO = Decimal(0)
LEVELS = ("api_key", "workspace", "meter", "organization", "billing_entity")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(eq=False)
class Spent:
    """An amount that counts: whose it is by level (of a meter's limit: the payer), in whose `zone`, and when.

    `asked` counts at the instant at which it was recorded in rolling windows, a report when it happened.
    """

    owners: dict[str, str]
    currency: str
    zone: ZoneInfo
    amount: Decimal
    by_meter: dict[str, Decimal]
    occurred_at: datetime
    recorded_at: datetime
    asked: bool
    hold: Hold | None = None

    def rolls_at(self) -> datetime:
        """When it counts in a rolling window."""
        return self.recorded_at if self.asked else min(self.occurred_at, self.recorded_at)


@dataclass(eq=False)
class Limit:
    """A ceiling: `owner` is the name of the level's row; a meter's limit has a meter beside its payer.

    `first`: the window in which it was set, after `spent_before` amounts.
    """

    id: str
    level: str
    owner: str
    amount: Decimal
    currency: str
    zone: ZoneInfo
    is_hard: bool
    window: str
    hours: int = 0
    meter: str = ""
    is_ended: bool = False
    spent_before: int = 0
    first: Span = (EPOCH, EPOCH)

    def concerns(self, spent: Spent) -> bool:
        """Whether it counts here at all, whatever the window."""
        owner = spent.owners.get("billing_entity" if self.level == "meter" else self.level)
        is_its = owner == self.owner or (self.level == "organization" and self.owner in (owner or "").split())
        return is_its and self.currency == spent.currency and not self.is_ended

    def amount_of(self, spent: Spent) -> Decimal:
        """What of it counts here. What was held without an event (meter "") may become any meter's."""
        if not self.meter:
            return spent.amount
        return spent.by_meter.get(self.meter, ZERO) + spent.by_meter.get("", ZERO)

    def window_of(self, spent: Spent, now: datetime) -> Span:
        """The window that a call is decided in: of when it occurred; a rolling one is that of now."""
        return self.window_at(now if self.window == "rolling" else spent.occurred_at, now, spent.zone)

    def window_at(self, at: datetime, now: datetime, payer_zone: ZoneInfo) -> Span:
        """The window around an instant. A period is that of who pays, of an organization the month.

        A rolling one has 60 slots, and the one in which they began.
        """
        if self.window == "rolling":
            return self._slot(now - timedelta(hours=self.hours)), now
        if self.window == "day":
            return day_of(at, self.zone)
        return month_of(at, self.zone if self.level == "organization" else payer_zone)

    def used(self, spends: list[Spent], window: Span) -> Decimal:
        """What was spent in the window. What came before the limit counts only in the window of then, in
        whosever period it was spent."""
        if self.window == "rolling":
            known = [one for one in spends if self._slot(one.rolls_at()) >= window[0]]
        else:
            before, later = spends[: self.spent_before], spends[self.spent_before :]
            known = [one for one in before if window == self.first and self._is_in(one, window)]
            known += [one for one in later if self.window_of(one, one.recorded_at) == window]
        return sum((self.amount_of(one) for one in known if self.concerns(one)), ZERO)

    @staticmethod
    def _is_in(spent: Spent, window: Span) -> bool:
        return window[0] <= spent.occurred_at < window[1]

    def _slot(self, at: datetime) -> datetime:
        length = timedelta(minutes=self.hours)
        return at - (at - EPOCH) % length

    def reserved(self, holds: list[Spent]) -> Decimal:
        """What open holds reserve, in every window."""
        open_ones = [one for one in holds if one.hold is not None and one.hold.is_open and self.concerns(one)]
        return sum((max(ZERO, self.amount_of(one)) for one in open_ones), ZERO)
