"""A hold as the paths see it while its payer's wallet row is locked. Pure.

`billing.store_authorizations` reads and writes it; `PayerBook` keeps `held` of the wallet row equal to the
sum of what holds reserve.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from billing.ledger import PayerId
from core.errors import Conflict
from core.ids import hot_id
from core.numbers import CONTEXT, ZERO

LEASE: Final = "lease"
AUTHORIZED: Final = "authorized"
CAPTURED: Final = "captured"
VOIDED: Final = "voided"
EXPIRED: Final = "expired"
SETTLED: Final = {CAPTURED: "has been captured", VOIDED: "has been voided", EXPIRED: "is over"}

HoldId = tuple[int, UUID]
"""(customer id, id)"""


class FirstAnswer(NamedTuple):
    """What the authorization was answered with: a replay gets it again."""

    idempotency_key: str
    payload: Mapping[str, Any]
    amount: Decimal
    currency: str
    expires_at: datetime
    available: Decimal
    settled: Decimal
    held: Decimal


@dataclass(slots=True)
class Hold:
    """One authorization or lease. `held`: what it reserves now; `amount`: what it reserved at first.

    `event_id` and `captured_amount` are what captured it. `counted_in`: the limits' counters that it is in.
    `reserved`: what it counts on of grants that are limited to components. `capped_at`: the most that what
    captured it may cost.
    """

    customer_id: int
    id: UUID
    payer_id: int
    workspace_id: int | None
    api_key_id: int | None
    kind: str
    status: str
    amount: Decimal
    held: Decimal
    expires_at: datetime
    counted_in: list[Any]
    first: FirstAnswer
    settled_at: datetime | None = None
    event_id: UUID | None = None
    event_recorded_at: datetime | None = None
    captured_amount: Decimal | None = None
    refused_key: str | None = None
    reserved: dict[int, Decimal] = field(default_factory=dict)
    capped_at: Decimal | None = None

    @property
    def payer(self) -> PayerId:
        """Whose money it holds."""
        return (self.customer_id, self.payer_id)

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return hot_id("lease" if self.is_lease else "auth", self.customer_id, self.id)

    @property
    def is_lease(self) -> bool:
        """Whether it is for many calls, which are decided elsewhere."""
        return self.kind == LEASE

    @property
    def is_open(self) -> bool:
        """Whether it may be captured, voided or extended."""
        return self.status == AUTHORIZED

    def settle(self, status: str, at: datetime) -> None:
        """End it; what it reserves is freed by `PayerBook.free`."""
        self.status, self.settled_at = status, at

    def draw(self, price: Decimal) -> None:
        """Note of a lease what one of its calls cost."""
        self.captured_amount = CONTEXT.add(self.captured_amount or ZERO, price)

    def captured_by(self, event_id: UUID, recorded_at: datetime, amount: Decimal | None) -> None:
        """Note the event that it was for, and the price of its charge (None: nothing priced it)."""
        self.settle(CAPTURED, recorded_at)
        self.event_id, self.event_recorded_at, self.captured_amount = event_id, recorded_at, amount


def settled_error(hold: Hold) -> Conflict:
    """Why a hold that is not open any more cannot be captured, voided or extended."""
    return Conflict(f"authorization_{hold.status}", f"The authorization {SETTLED[hold.status]}.")
