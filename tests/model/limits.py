"""The model's spend limits, after docs/algorithms/limits.md: what was used is a sum over what was spent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from tests.model.wallet import Hold

ZERO = Decimal(0)
LEVELS = ("api_key", "workspace", "meter", "organization", "billing_entity")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(eq=False)
class Spent:
    """An amount that counts: whose it is by level (of a meter's limit: the payer), and when.

    `asked` counts at the instant at which it was recorded in rolling windows, a report when it happened.
    """

    owners: dict[str, str]
    currency: str
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
    """A ceiling: `owner` is the name of the level's row; a meter's limit has a meter beside its payer."""

    id: str
    level: str
    owner: str
    amount: Decimal
    currency: str
    is_hard: bool
    window: str
    hours: int = 0
    meter: str = ""
    is_ended: bool = False
    spent_before: int = 0
    made_at: datetime = EPOCH

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

    def window_of(self, spent: Spent, now: datetime) -> tuple[datetime, datetime]:
        """The window that a call is decided in: of when it occurred; a rolling one is that of now."""
        return self.window_at(now if self.window == "rolling" else spent.occurred_at, now)

    def window_at(self, at: datetime, now: datetime) -> tuple[datetime, datetime]:
        """The window around an instant. A rolling one has 60 slots, and the one in which they began."""
        if self.window == "rolling":
            return self._slot(now - timedelta(hours=self.hours)), now
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        if self.window == "day":
            return day, day + timedelta(days=1)
        month = day.replace(day=1)
        return month, (month + timedelta(days=32)).replace(day=1)

    def used(self, spends: list[Spent], window: tuple[datetime, datetime]) -> Decimal:
        """What was spent in the window. What came before the limit counts only in the window of then."""
        first = self.window_at(self.made_at, self.made_at)
        known = spends if self.window == "rolling" or window == first else spends[self.spent_before :]
        return sum((self.amount_of(s) for s in known if self.concerns(s) and self._is_in(s, window)), ZERO)

    def _is_in(self, spent: Spent, window: tuple[datetime, datetime]) -> bool:
        if self.window == "rolling":
            return self._slot(spent.rolls_at()) >= window[0]
        return window[0] <= spent.occurred_at < window[1]

    def _slot(self, at: datetime) -> datetime:
        length = timedelta(minutes=self.hours)
        return at - (at - EPOCH) % length

    def reserved(self, holds: list[Spent]) -> Decimal:
        """What open holds reserve, in every window."""
        open_ones = [one for one in holds if one.hold is not None and one.hold.is_open and self.concerns(one)]
        return sum((max(ZERO, self.amount_of(one)) for one in open_ones), ZERO)
