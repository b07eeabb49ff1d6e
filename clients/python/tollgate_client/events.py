"""The events that are charged, authorized and reported, and how they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from secrets import token_hex
from typing import Any, Final, TypedDict


def new_key() -> str:
    """An idempotency key that nobody has used."""
    return token_hex(16)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a vendor takes for an event."""

    vendor: str
    amount: Decimal
    currency: str = "USD"


class CallerFields(TypedDict, total=False):
    """Whose call it is: at least one of the first three."""

    workspace: str | None
    api_key: str | None
    billing_entity: str | None
    user: str | None
    trace: str | None


class EventFields(CallerFields, total=False):
    """The fields of an event beside its name; `Event` says what they mean."""

    properties: Mapping[str, Any]
    costs: Sequence[Cost] | None
    occurred_at: datetime | None
    idempotency_key: str


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, or is about to.

    Name at least one of `workspace`, `api_key` and `billing_entity`. `costs`: None = not known, [] = none.
    `occurred_at` must be aware; without it the server's time counts. The key makes it count once, however
    often it is sent: give your own where you have one, such as the id of the request.
    """

    event: str
    workspace: str | None = None
    api_key: str | None = field(default=None, repr=False)
    billing_entity: str | None = None
    properties: Mapping[str, Any] = field(default_factory=dict)
    costs: Sequence[Cost] | None = None
    user: str | None = None
    trace: str | None = None
    occurred_at: datetime | None = None
    idempotency_key: str = field(default_factory=new_key)

    def __post_init__(self) -> None:
        if self.occurred_at is not None and self.occurred_at.tzinfo is None:
            raise ValueError("occurred_at must be aware: give it a time zone.")

    def as_dict(self) -> dict[str, Any]:
        """The event as the API takes it."""
        names = ("workspace", "api_key", "billing_entity", "user", "trace", "occurred_at")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        body = {"idempotency_key": self.idempotency_key, "event": self.event, **given}
        if self.properties:
            body["properties"] = dict(self.properties)
        if self.costs is not None:
            body["costs"] = costs_as_list(self.costs)
        return body


def make_event(event: str | Event, fields: EventFields) -> Event:
    """The event with this name, or this event with other fields."""
    return Event(event, **fields) if isinstance(event, str) else replace(event, **fields)


def costs_as_list(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """Costs as the API takes them."""
    return [{"vendor": cost.vendor, "amount": cost.amount, "currency": cost.currency} for cost in costs]


def encode(body: Any) -> bytes:
    """`body` as JSON. A Decimal becomes a text in plain notation, so nothing is rounded on the way.

    Raises ValueError for NaN, infinities and datetimes without a time zone, TypeError for what JSON does not
    know.
    """
    return _ENCODER.encode(body).encode()


def _encode(value: object) -> object:
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(f"{value} is not a number.")
        return f"{value:f}"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("An instant must be aware: give it a time zone.")
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value.")


_ENCODER: Final = json.JSONEncoder(default=_encode, allow_nan=False, separators=(",", ":"))
