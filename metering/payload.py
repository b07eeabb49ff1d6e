"""The payload of an event under its idempotency key: canonical form, hash, and what differs.

A key counts once: the same payload again is a replay, another one a conflict that names the fields. Two
payloads are the same when no field that stands on both sides differs. Numbers compare by value (5, 5.0,
"5.00"), instants as instants, names and ids as texts; a field absent or null on either side does not differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

import msgspec

from core import payloads
from core.errors import InvalidRequest
from core.instants import parse_instant
from metering.aggregation.values import canonical

KEY_FIELD: Final = "idempotency_key"
INSTANT_FIELD: Final = "occurred_at"
GIVEN: Final = {
    "workspace": 1,
    "api_key": 2,
    "billing_entity": 4,
    "occurred_at": 8,
    "properties": 16,
    "costs": 32,
}
"""Bits of the optional fields that a caller sent."""
ASKED: Final = 64
"""Beside them: the call asked for permission, so that rolling limits count it when it was recorded."""
# Below these, numbers may be written as texts; everything else that is a text is a name or an id.
_VALUE_FIELDS: Final = frozenset({"properties", "costs"})
_encode: Final = msgspec.json.Encoder(order="deterministic").encode


def canonical_payload(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event without its key, in the one form that all notations of it share.

    `occurred_at` may be a text or an aware datetime and is given as a datetime in UTC. A secret in `api_key`
    is the caller's to replace by the key's id before. Raises InvalidRequest for values nested too deep.
    """
    payload = {}
    for name, value in event.items():
        if value is None or name == KEY_FIELD:
            continue
        if name in _VALUE_FIELDS:
            payload[name] = canonical(value)
        elif name == INSTANT_FIELD:
            payload[name] = _canonical_instant(value)
        else:
            payload[name] = value if type(value) is str else canonical(value, numeric_texts=False)
    return payload


def payload_hash(event: Mapping[str, Any]) -> bytes:
    """The hash of the canonical payload (see `canonical_hash`)."""
    return canonical_hash(canonical_payload(event))


def canonical_hash(payload: Mapping[str, Any]) -> bytes:
    """16 bytes (BLAKE2b) of what `canonical_payload` gave.

    Equal hashes mean the same payload. Different ones need `differing_fields`: one side may lack a field.
    """
    return blake2b(_encode(payload), digest_size=16).digest()


def differing_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The paths of the fields that stand in both events with another value, sorted: `["properties.tokens"]`.

    Empty when the second is a replay of the first. The key itself is not compared.
    """
    return sorted(payloads.differing_fields(canonical_payload(first), canonical_payload(second)))


def recorded_payload(
    *,
    name: str,
    user: str | None,
    trace: str | None,
    given: int,
    occurred_at: datetime,
    properties: Mapping[str, Any],
    costs: Sequence[Mapping[str, Any]] | None,
) -> dict[str, Any]:
    """What was sent of an event that is stored, without who called: `given` says which fields it had."""
    payload: dict[str, Any] = {"event": name, "user": user, "trace": trace}
    if given & GIVEN["properties"]:
        payload["properties"] = properties
    if given & GIVEN["occurred_at"]:
        payload["occurred_at"] = occurred_at
    if given & GIVEN["costs"]:
        payload["costs"] = [
            {field: value for field, value in part.items() if field != "source"} for part in costs or ()
        ]
    return payload


def _canonical_instant(value: Any) -> Any:
    if isinstance(value, datetime):
        return value if value.tzinfo is UTC else value.astimezone(UTC)
    try:
        return parse_instant(value)
    except InvalidRequest:
        return canonical(value, numeric_texts=False)
