"""Reading one event as a caller sent it: `parse_event`, the only way from JSON to an `EventInput`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from core.errors import InvalidRequest
from core.instants import parse_instant
from metering.event_values import (
    CostPart,
    check_costs,
    check_properties,
    check_text,
    normalise_api_key,
    shown,
)
from metering.payload import payload_hash

__all__ = ["CostPart", "EventInput", "parse_event"]

KEY_LENGTH_MAX: Final = 255
NAME_LENGTH_MAX: Final = 200
REFERENCE_LENGTH_MAX: Final = 200
TAG_LENGTH_MAX: Final = 255
FIELDS: Final = frozenset(
    {
        "idempotency_key",
        "event",
        "workspace",
        "api_key",
        "billing_entity",
        "occurred_at",
        "properties",
        "costs",
        "user",
        "trace",
    }
)


@dataclass(slots=True)
class EventInput:
    """One event as it came in, well-formed but not yet attributed.

    `api_key` is our id (`key_...`) or a SHA-256 fingerprint, never a secret. `costs`: None = not given, () =
    known to cost nothing. `occurred_at` is aware, in UTC. `payload` is the event as sent, without nulls and
    without the secret: what a replay is compared with. `payload_hash` is of that, made while the payload
    is at hand: when many reports are put together, it is long out of the processor's caches.
    """

    idempotency_key: str
    event: str
    workspace: str | None
    api_key: str | None
    billing_entity: str | None
    occurred_at: datetime
    properties: dict[str, Any]
    costs: tuple[CostPart, ...] | None
    user: str | None
    trace: str | None
    payload: dict[str, Any]
    properties_json: str
    payload_hash: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Hash the payload."""
        self.payload_hash = payload_hash(self.payload)


def parse_event(raw: Any, received_at: datetime) -> EventInput:
    """The event that decoded JSON describes; without `occurred_at` it occurred at `received_at`.

    Integers come as int, other JSON numbers as Decimal, never as float. Raises InvalidRequest whose `param`
    is the offending field.
    """
    if type(raw) is not dict:
        raise InvalidRequest("invalid_type", "An event must be an object.")
    if None in raw.values():
        raw = {name: value for name, value in raw.items() if value is not None}
    if not FIELDS.issuperset(raw):
        _refuse_unknown(raw)
    get = raw.get
    payload = raw
    key = _text(raw, "idempotency_key", KEY_LENGTH_MAX)
    name = _text(raw, "event", NAME_LENGTH_MAX)
    workspace = None if "workspace" not in raw else _text(raw, "workspace", REFERENCE_LENGTH_MAX)
    payer = None if "billing_entity" not in raw else _text(raw, "billing_entity", REFERENCE_LENGTH_MAX)
    api_key = get("api_key")
    if api_key is not None:
        normalised = normalise_api_key(api_key)
        if normalised != api_key:
            payload = {**raw, "api_key": normalised}
        api_key = normalised
    elif workspace is None and payer is None:
        raise InvalidRequest(
            "missing_field", "Name a workspace, an api_key or a billing_entity.", "workspace"
        )
    instant = get("occurred_at")
    properties = get("properties")
    costs = get("costs")
    return EventInput(
        key,
        name,
        workspace,
        api_key,
        payer,
        received_at if instant is None else parse_instant(instant, "occurred_at"),
        {} if properties is None else properties,
        None if costs is None else check_costs(costs),
        None if "user" not in raw else _text(raw, "user", TAG_LENGTH_MAX),
        None if "trace" not in raw else _text(raw, "trace", TAG_LENGTH_MAX),
        payload,
        "{}" if properties is None else check_properties(properties),
    )


def _text(raw: dict[str, Any], field: str, length_max: int) -> str:
    value = raw.get(field)
    if type(value) is str and 0 < len(value) <= length_max and value.isprintable():
        return value
    if value is None:
        raise InvalidRequest("missing_field", f"{field} is missing.", field)
    return check_text(value, field, length_max)


def _refuse_unknown(raw: dict[str, Any]) -> None:
    unknown = sorted(shown(name) for name in raw if name not in FIELDS)
    raise InvalidRequest(
        "unknown_field",
        f"An event has no field {', '.join(unknown[:5])}.",
        unknown[0],
    )
