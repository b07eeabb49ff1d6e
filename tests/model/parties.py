"""The model's people and things: payers with their segments, events that were charged, holds, keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.model.days import Span, month_of
from tests.model.limits import Spent
from tests.model.prices import ZERO, Component, Event, price, rounded
from tests.model.wallet import Hold, Line, Payments, Wallet

LATE = timedelta(days=35)
AHEAD = timedelta(hours=24)
GRACE = timedelta(hours=24)
TICK = timedelta(microseconds=1)
NEVER = datetime.max.replace(tzinfo=UTC)
CALLER = ("event", "workspace", "api_key", "billing_entity")
Answer = tuple[int, dict[str, Any]]
"""Status and body: what the API must answer, as far as it is modelled."""


class Version(NamedTuple):
    """A price list: its components, and how many images a month it entitles to (None: any number)."""

    components: list[Component]
    quota: Decimal | None = None


class Coupon(NamedTuple):
    """So many percent of each line, or an amount of all; of some components (none named: all), for so many
    periods (None: for ever)."""

    percent: Decimal | None
    amount: Decimal | None
    components: frozenset[str] = frozenset()
    periods: int | None = None


Versions = list[tuple[datetime, Version | None]]
"""Since when which version; None: paused."""


@dataclass(eq=False)
class Segment:
    """A part of a period on one version. `events` are those that stand, in the order they came."""

    components: list[Component]
    starts_at: datetime
    ends_at: datetime
    period: Span
    is_closed: bool = False
    was_used: bool = False
    events: list[Event] = field(default_factory=list)
    payments: Payments = field(default_factory=Payments)
    credited: dict[str, Decimal] = field(default_factory=dict)
    """What coupons have taken off, by component, once it is closed."""

    def minimum(self, component: Component) -> Decimal:
        """The segment's share of a minimum, by real seconds."""
        start, end = self.period
        whole = Decimal((end - start) // TICK)
        amount = Decimal(component.get("minimum", 0))
        upto = [
            rounded(amount * Decimal((at - start) // TICK) / whole) for at in (self.starts_at, self.ends_at)
        ]
        return upto[1] - upto[0]

    def cost(self, component: Component, events: Sequence[Event]) -> Decimal:
        """What these events cost in all: F, and once it is closed at least the minimum."""
        usage = price(component, events)
        return max(self.minimum(component), usage) if self.is_closed else usage


@dataclass(eq=False)
class Payer:
    """Who pays. `versions`: (since when, its components; None: it is paused), the oldest first."""

    name: str
    currency: str
    wallet: Wallet
    versions: Versions
    organizations: str
    zone: ZoneInfo
    status: str = "active"
    ends_at: datetime = NEVER
    """When its subscription ends, and with it the last period."""
    chosen: Version | None = None
    """What it was changed to in a pause."""
    segments: dict[datetime, Segment] = field(default_factory=dict)
    redeemed: list[tuple[Coupon, datetime]] = field(default_factory=list)
    counted: list[Event] = field(default_factory=list)
    charged: list[Decimal] = field(default_factory=list)
    overspent: dict[bool, Decimal] = field(default_factory=lambda: {True: ZERO, False: ZERO})
    """What calls took below the floor: those of leases (True), and all others."""

    def period_at(self, at: datetime) -> Span:
        """The billing period of an instant, which is also the month of its quota."""
        return month_of(at, self.zone)

    def last_of(self, period: Span) -> datetime:
        """The last instant of a period, of which what its close books is."""
        return min(period[1], self.ends_at) - TICK

    def version_at(self, at: datetime) -> Version | None:
        """The version of that instant, if it is not paused then."""
        return next((version for since, version in reversed(self.versions) if since <= at), None)

    @property
    def plan(self) -> Version:
        """The version that it is on, or goes on with after its pause."""
        last = next(version for _, version in reversed(self.versions) if version is not None)
        return self.chosen or last

    def segment_at(self, at: datetime) -> Segment | None:
        """The segment of that instant; None before the subscription began, and while it is paused.

        Of a change and an end at the same instant the later counts: between them is no time.
        """
        since, version = next((one for one in reversed(self.versions) if one[0] <= at), (at, None))
        if version is None:
            return None
        period = self.period_at(at)
        starts_at = max(since, period[0])
        if starts_at not in self.segments:
            later = [one[0] for one in self.versions if one[0] > since]
            ends_at = min([period[1], *later])
            self.segments[starts_at] = Segment(version.components, starts_at, ends_at, period)
        return self.segments[starts_at]


@dataclass(eq=False)
class Priced:
    """A line: what an event adds to a component's cost."""

    component: str
    meter: str
    amount: Decimal
    absorbed: Decimal = ZERO


@dataclass(eq=False)
class Record:
    """An event that was charged or recorded, and all that is needed to take it back.

    `most`: what it may cost, captured with a cap. `is_left`: a change has left it without its charge.
    """

    body: Event
    payer: Payer
    segment: Segment | None
    lines: list[Priced]
    spent: Spent
    most: Decimal | None = None
    is_charge: bool = False
    is_left: bool = False
    is_reversed: bool = False


@dataclass(eq=False)
class Authorization:
    """A hold and what came of it."""

    key: str
    body: Event
    payer: Payer
    hold: Hold
    authorized_at: datetime
    amount: Decimal
    reserved: Spent
    answer: dict[str, Any]
    status: str = "authorized"
    id: str = ""

    def status_at(self) -> str:
        """Its status now; time ends it by itself."""
        return "expired" if self.status == "authorized" and not self.hold.is_open else self.status


@dataclass(eq=False)
class Lease:
    """An allowance of `amount`, what its calls have `used`, and what it still reserves."""

    payer: Payer
    workspace: str | None
    hold: Hold
    amount: Decimal
    reserved: Spent
    used: Decimal = ZERO
    status: str = "open"
    id: str = ""

    def status_at(self) -> str:
        """Its status now; time ends it by itself."""
        return "expired" if self.status == "open" and not self.hold.is_open else self.status


@dataclass(eq=False)
class Seen:
    """What a key has counted for, and the first answer."""

    kind: str
    body: Event
    answer: dict[str, Any]
    record: Record | None = None
    authorization: Authorization | None = None


def instant(text: str) -> datetime:
    """An instant of a body."""
    return datetime.fromisoformat(text).astimezone(UTC)


def error(status: int, code: str) -> Answer:
    """An error."""
    return status, {"error": code}


def amounts_of(lines: Sequence[Priced]) -> list[Line]:
    """What of the lines the payer pays."""
    return [(line.component, line.amount - line.absorbed) for line in lines]


def same(first: Event, again: Event, names: Sequence[str] = ()) -> bool:
    """Whether two bodies say the same: numbers by value; what either leaves out does not differ."""
    shared = (first.keys() & again.keys()) - {"idempotency_key"}
    return all(_value(first[n]) == _value(again[n]) for n in shared if not names or n in names)


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _value(each) for name, each in value.items()}
    return Decimal(str(value)) if isinstance(value, int | float | Decimal) else value
