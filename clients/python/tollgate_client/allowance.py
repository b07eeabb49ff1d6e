"""What a lease may still spend, decided without a network call."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import islice
from threading import Lock
from typing import Final

from tollgate_client.errors import Denied
from tollgate_client.events import Event, encode

BATCH: Final = 1_000
ZERO: Final = Decimal(0)


class LeaseDenied(Denied):
    """The lease does not cover this call. `reason`: lease_exhausted, lease_expired, lease_unreported or
    lease_returned; `limit` and `used` are the lease's. Nothing was sent."""

    def __init__(self, reason: str, message: str, lease: str, limit: Decimal, used: Decimal) -> None:
        denial = {"reason": reason, "level": "lease", "id": lease, "limit": str(limit), "used": str(used)}
        error = {"type": "payment_required", "code": reason, "message": message}
        super().__init__(402, error, {"denial": denial})


@dataclass(frozen=True, slots=True)
class Spend:
    """A call that was let pass: its event, as it is sent (`content`), and what it was taken to cost."""

    event: Event
    content: bytes
    amount: Decimal


class Allowance:
    """The amount of a lease, what is promised of it, and what has still to be reported; safe for threads.

    `left` is what the server held at its last answer, less what was let pass and is not reported yet. The
    lease ends `seconds` after `started`, on this machine's own steady clock, which was read before the lease
    was asked for: so it ends here no later than there.
    """

    def __init__(
        self,
        lease: str,
        amount: Decimal,
        seconds: float,
        started: float,
        unreported_max: int,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease = lease
        self.amount = amount
        self._held = amount
        self._promised = ZERO
        self._ends = started + seconds
        self._unreported_max = unreported_max
        self._steady = steady
        self._spends: deque[Spend] = deque()
        self._is_over = False
        self._lock = Lock()

    def take(self, event: Event, amount: Decimal) -> None:
        """Let a call pass that costs at most `amount`; raises LeaseDenied, ValueError for less than 0."""
        if not amount.is_finite() or amount < 0:
            raise ValueError(f"A call cannot cost {amount}.")
        content = encode(event.as_dict())  # one that cannot be written would block all behind it
        with self._lock:
            refused = self._refusal(amount)
            if refused is None:
                self._promised += amount
                self._spends.append(Spend(event, content, amount))
                return
        raise LeaseDenied(*refused, self.lease, self.amount, self.amount - self.left)

    def _refusal(self, amount: Decimal) -> tuple[str, str] | None:
        if self._is_over:
            return "lease_returned", "The lease has been returned."
        if self._steady() >= self._ends:
            return "lease_expired", "The lease is over."
        if self._promised + amount > self._held:
            return "lease_exhausted", "The lease does not cover this call."
        if len(self._spends) >= self._unreported_max:
            return "lease_unreported", "Too many calls of the lease wait to be reported."
        return None

    @property
    def left(self) -> Decimal:
        """What may still be spent."""
        return self._held - self._promised

    @property
    def unreported(self) -> int:
        """How many calls the server does not know of yet: the exposure in calls."""
        return len(self._spends)

    @property
    def exposure(self) -> Decimal:
        """What they are taken to cost."""
        return self._promised

    def batch(self) -> list[Spend]:
        """The oldest calls that are not reported, which stay here until `settle`."""
        with self._lock:
            return list(islice(self._spends, BATCH))

    def settle(self, batch: Sequence[Spend], held: Decimal | None) -> None:
        """The server answered for `batch` and holds `held` now; None = less what they cost here."""
        cost = sum((spend.amount for spend in batch), ZERO)
        with self._lock:
            for _ in batch:
                self._spends.popleft()
            self._promised -= cost
            self._held = self._held - cost if held is None else held

    def end(self) -> None:
        """Let nothing pass any more."""
        with self._lock:
            self._is_over = True
