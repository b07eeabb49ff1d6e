"""What comes out of the path, one per request, in order."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from msgspec import Struct

from core.errors import TollgateError

RETRYABLE: Final = frozenset({"suspended", "spend_limit", "insufficient_funds", "margin_floor"})
"""The reasons that may be gone when the same call comes again, unless it is dated where nothing changes."""


class Charged(Struct):
    """The event is recorded and priced. `is_replay`: an earlier answer, given again.

    `lines` are the stored lines; amounts are in `currency`; `cost` is null when unknown. `authorization`: the
    id of the hold that it captured.
    """

    customer_id: int
    id: UUID
    recorded_at: datetime
    seq: int
    billing_entity: str
    amount: Decimal
    currency: str
    cost: Decimal | None
    lines: list[dict[str, Any]]
    available: Decimal
    settled: Decimal
    held: Decimal
    is_replay: bool = False
    unmatched: bool = False
    unpriced: bool = False
    authorization: str | None = None


class Recorded(Struct):
    """The event is stored but nothing prices it: no meter hears it, or no component."""

    customer_id: int
    id: UUID
    recorded_at: datetime
    seq: int
    unmatched: bool
    unpriced: bool
    is_replay: bool = False


class Authorized(Struct):
    """So much is held until `expires_at`. `is_replay`: an earlier answer, given again."""

    customer_id: int
    id: UUID
    billing_entity: str
    amount: Decimal
    currency: str
    expires_at: datetime
    available: Decimal
    settled: Decimal
    held: Decimal
    is_lease: bool = False
    is_replay: bool = False


class Denied(Struct):
    """A refused charge (402): the first reason in DESIGN.md's order. Consumes no key.

    `limit`, `used` and `resets_at` are those of the level that refused; `retryable`: whether the same call
    may go through later (None: as the reason has it).
    """

    reason: str
    level: str
    level_id: str
    expected_amount: Decimal
    currency: str
    available: Decimal
    settled: Decimal
    held: Decimal
    limit: Decimal | None = None
    used: Decimal | None = None
    resets_at: datetime | None = None
    retryable: bool | None = None

    @property
    def is_retryable(self) -> bool:
        """Whether the same call may go through later: after a reset, a top-up or a change of state."""
        return self.reason in RETRYABLE if self.retryable is None else self.retryable


class Quarantined(Struct):
    """A reported event that waits for staff: well-formed, but it cannot be taken as it is."""

    reason: str
    message: str


class Failed(Struct):
    """The request is in error; nothing was stored for it."""

    error: TollgateError


Outcome = Charged | Recorded | Authorized | Denied | Quarantined | Failed
