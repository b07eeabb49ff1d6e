"""What Tollgate answers, typed: amounts and quantities are Decimal, instants are aware datetimes.

Fields that this version does not know are ignored, so that a newer server does not break an older client.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Balance:
    """A payer's money: `available` may be spent, `settled` is in the wallet, `held` is promised to calls."""

    available: Decimal
    settled: Decimal
    held: Decimal


@dataclass(frozen=True, slots=True)
class PayerBalance:
    """Whether a payer can spend. `available` may be exceeded where `is_unbounded`."""

    billing_entity: str
    currency: str
    status: str
    settlement: str
    can_spend: bool
    is_unbounded: bool
    available: Decimal
    settled: Decimal
    held: Decimal
    owed: Decimal


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """One component's part of a charge; its units lie at `position` (from, to) in the tiers."""

    component: str
    meter: str
    quantity: Decimal
    amount: Decimal
    plan_version: str
    position: tuple[Decimal, Decimal] | None


@dataclass(frozen=True, slots=True)
class Charge:
    """One event, charged. `status` is "charged", or "recorded" where nothing prices the event (amount 0).

    `cost` is what vendors take, null when not known. `is_replay`: the first answer to this key, again. Of a
    capture: the `authorization`, and what of its price the operator bears (`absorbed`, with over="cap").
    """

    id: str
    status: str
    billing_entity: str | None
    amount: Decimal
    currency: str | None
    cost: Decimal | None
    lines: tuple[ChargeLine, ...]
    balance: Balance | None
    is_replay: bool
    authorization: str | None = None
    absorbed: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Authorization:
    """A hold of `amount` until `expires_at`; `status` is authorized, captured, voided or expired."""

    id: str
    status: str
    amount: Decimal
    currency: str | None
    expires_at: datetime
    balance: Balance | None
    is_replay: bool


@dataclass(frozen=True, slots=True)
class EventError:
    """Why one event of a report was not taken; `index` is its place in the list that was given."""

    index: int
    code: str
    message: str
    param: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """What became of reported events.

    `rejected` are listed in `errors`; `quarantined` wait for staff; of the accepted, `unmatched` have no
    meter and `unpriced` no price yet.
    """

    accepted: int = 0
    duplicates: int = 0
    quarantined: int = 0
    rejected: int = 0
    unmatched: int = 0
    unpriced: int = 0
    errors: tuple[EventError, ...] = ()

    def __add__(self, other: Report) -> Report:
        """Both together; the indexes of `other`'s errors are expected to follow."""
        return Report(
            self.accepted + other.accepted,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
            self.rejected + other.rejected,
            self.unmatched + other.unmatched,
            self.unpriced + other.unpriced,
            self.errors + other.errors,
        )


@dataclass(frozen=True, slots=True)
class LeaseReport:
    """What became of calls reported to a lease, and what it holds now."""

    held: Decimal | None
    errors: tuple[EventError, ...]


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a version grants of a feature. Type boolean: `value`; limit: `limit`; metered: `used` of `limit`.

    `remaining` is what the next call may have: neither used nor `held` by open holds. A quota begins again at
    `resets_at`.
    """

    feature: str
    type: str
    value: bool | None
    limit: Decimal | None
    meter: str | None
    reset: str | None
    used: Decimal | None
    remaining: Decimal | None
    resets_at: datetime | None
    held: Decimal | None = None


@dataclass(frozen=True, slots=True)
class UsagePoint:
    """One period `[start, end)`; `value` is null where the aggregation has none."""

    start: datetime
    end: datetime
    value: Decimal | None
    events: int


@dataclass(frozen=True, slots=True)
class UsageSeries:
    """One meter and combination of dimension values; `total` is the quantity of the whole window."""

    meter: str
    unit: str
    group: Mapping[str, str | None]
    total: Decimal | None
    events: int
    points: tuple[UsagePoint, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage in `[start, end)`, complete up to `as_of`."""

    as_of: datetime
    start: datetime
    end: datetime
    granularity: str
    time_zone: str
    series: tuple[UsageSeries, ...]


def charge_in(body: Json, *, is_replay: bool = False) -> Charge:
    """The charge that an answer describes."""
    return Charge(
        id=str(body["id"]),
        status=str(body["status"]),
        billing_entity=body.get("billing_entity"),
        amount=amount_in(body, "amount") or Decimal(0),
        currency=body.get("currency"),
        cost=amount_in(body, "cost"),
        lines=tuple(_line(line) for line in body.get("lines") or ()),
        balance=balance_in(body),
        is_replay=is_replay,
        authorization=body.get("authorization"),
        absorbed=amount_in(body, "absorbed"),
    )


def authorization_in(body: Json, *, is_replay: bool = False) -> Authorization:
    """The hold that an answer describes."""
    return Authorization(
        id=str(body["id"]),
        status=str(body["status"]),
        amount=Decimal(body["amount"]),
        currency=body.get("currency"),
        expires_at=datetime.fromisoformat(body["expires_at"]),
        balance=balance_in(body),
        is_replay=is_replay,
    )


def _line(line: Json) -> ChargeLine:
    position: Json | None = line.get("position")
    return ChargeLine(
        component=str(line["component"]),
        meter=str(line["meter"]),
        quantity=Decimal(line["quantity"]),
        amount=Decimal(line["amount"]),
        plan_version=str(line["plan_version"]),
        position=(Decimal(position["from"]), Decimal(position["to"])) if position else None,
    )


def report_in(body: Json, first: int) -> Report:
    """The result of a batch whose first event stands at `first` of the caller's list."""
    names = ("accepted", "duplicates", "quarantined", "rejected", "unmatched", "unpriced")
    errors = tuple(
        EventError(
            index=first + int(item["index"]),
            code=str(item["error"]["code"]),
            message=str(item["error"]["message"]),
            param=item["error"].get("param"),
        )
        for item in body.get("errors") or ()
    )
    return Report(**{name: int(body.get(name, 0)) for name in names}, errors=errors)


def lease_report_in(body: Json) -> LeaseReport:
    """The answer to a report of a lease."""
    return LeaseReport(held=amount_in(body, "held"), errors=report_in(body, 0).errors)


def payer_balance_in(body: Json) -> PayerBalance:
    """The answer of `/v1/balance`."""
    return PayerBalance(
        billing_entity=str(body["billing_entity"]),
        currency=str(body["currency"]),
        status=str(body["status"]),
        settlement=str(body["settlement"]),
        can_spend=bool(body["can_spend"]),
        is_unbounded=bool(body["is_unbounded"]),
        available=Decimal(body["available"]),
        settled=Decimal(body["settled"]),
        held=Decimal(body["held"]),
        owed=Decimal(body["owed"]),
    )


def entitlements_in(body: Json) -> dict[str, Entitlement]:
    """The answer of `/v1/entitlements`, by feature."""
    return {str(item["feature"]): _entitlement(item) for item in body["entitlements"]}


def _entitlement(item: Json) -> Entitlement:
    return Entitlement(
        feature=str(item["feature"]),
        type=str(item["type"]),
        value=item.get("value"),
        limit=amount_in(item, "limit"),
        meter=item.get("meter"),
        reset=item.get("reset"),
        used=amount_in(item, "used"),
        remaining=amount_in(item, "remaining"),
        resets_at=instant_in(item, "resets_at"),
        held=amount_in(item, "held"),
    )


def usage_in(body: Json) -> Usage:
    """The answer of `/v1/usage`."""
    return Usage(
        as_of=datetime.fromisoformat(body["as_of"]),
        start=datetime.fromisoformat(body["from"]),
        end=datetime.fromisoformat(body["to"]),
        granularity=str(body["granularity"]),
        time_zone=str(body["time_zone"]),
        series=tuple(_series(item) for item in body["data"]),
    )


def _series(item: Json) -> UsageSeries:
    points = tuple(
        UsagePoint(
            datetime.fromisoformat(point["start"]),
            datetime.fromisoformat(point["end"]),
            amount_in(point, "value"),
            int(point["events"]),
        )
        for point in item["points"]
    )
    return UsageSeries(
        meter=str(item["meter"]),
        unit=str(item.get("unit") or ""),
        group=dict(item.get("group") or {}),
        total=amount_in(item, "total"),
        events=int(item["events"]),
        points=points,
    )


def balance_in(body: Json) -> Balance | None:
    """The balance that stands in an answer."""
    balance: Json | None = body.get("balance")
    if not balance:
        return None
    return Balance(*(Decimal(balance[name]) for name in ("available", "settled", "held")))


def amount_in(body: Json, name: str) -> Decimal | None:
    """A decimal that may be null or absent."""
    value = body.get(name)
    return None if value is None else Decimal(value)


def instant_in(body: Json, name: str) -> datetime | None:
    """An instant that may be null or absent."""
    value = body.get(name)
    return None if value is None else datetime.fromisoformat(value)
