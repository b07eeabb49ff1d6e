"""What the windows of limits and quotas have used: read under the lock, then kept up item by item."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from billing.limits import Limit
from billing.limits.catalogue import NEVER
from billing.store_limits import CounterRange
from core.numbers import CONTEXT, ZERO

add = CONTEXT.add


@dataclass(slots=True, eq=False)
class Tally:
    """What one window has used: read under the lock, then kept up item by item.

    `held`: by open holds, whose calls may come in any window. `oldest`: the first slot of a rolling window
    that holds spend. `changes`: what to add, by row; `place`: where the row at the range's slot was read.
    `next_step`: what is used when the next alert fires.
    """

    range: CounterRange
    limit: Limit | None = None
    used: Decimal = ZERO
    held: Decimal = ZERO
    alerted: int = 0
    oldest: datetime | None = None
    changes: dict[datetime, Decimal] = field(default_factory=dict)
    alerted_in: datetime | None = None
    place: str | None = None
    next_step: Decimal = NEVER

    @property
    def taken(self) -> Decimal:
        """What is used or held."""
        return add(self.used, self.held) if self.held else self.used

    def add(self, amount: Decimal, starts_at: datetime) -> None:
        """Count an amount in the row that begins at `starts_at`."""
        self.used = add(self.used, amount)
        known = self.changes.get(starts_at)
        self.changes[starts_at] = amount if known is None else add(known, amount)
        if amount and (self.oldest is None or starts_at < self.oldest):
            self.oldest = starts_at


class Bound(NamedTuple):
    """A limit that an item counts in: what its window has used, and the row in which the item counts."""

    limit: Limit
    tally: Tally
    starts_at: datetime
