"""The payload of an event under its idempotency key: canonical form, hash, and what differs.

A key counts once: the same payload again is a replay, another one a conflict that names the fields. Two
payloads are the same when no field that stands on both sides differs. Numbers compare by value (5, 5.0,
"5.00"), instants as instants, names and ids as texts; a field absent on either side does not differ.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from core.errors import InvalidRequest
from core.instants import instant_text, parse_instant
from metering.aggregation.values import canonical

KEY_FIELD: Final = "idempotency_key"
INSTANT_FIELD: Final = "occurred_at"
# Below these, numbers may be written as texts; everything else that is a text is a name or an id.
_VALUE_FIELDS: Final = frozenset({"properties", "costs"})


def canonical_payload(event: Mapping[str, Any]) -> dict[str, Any]:
    """The event without its key, in the one form that all notations of it share.

    A secret in `api_key` is the caller's to replace by the key's id before. Raises InvalidRequest for values
    nested too deep.
    """
    return {name: _canonical_field(name, value) for name, value in event.items() if name != KEY_FIELD}


def payload_hash(event: Mapping[str, Any]) -> bytes:
    """SHA-256 of the canonical payload (32 bytes).

    Equal hashes mean the same payload. Different ones need `differing_fields`: one side may lack a field.
    """
    return canonical_hash(canonical_payload(event))


def canonical_hash(payload: Mapping[str, Any]) -> bytes:
    """SHA-256 of what `canonical_payload` gave."""
    return hashlib.sha256(json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()).digest()


def differing_fields(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """The paths of the fields that stand in both events with another value, sorted: `["properties.tokens"]`.

    Empty when the second is a replay of the first. The key itself is not compared.
    """
    differing: list[str] = []
    _compare("", canonical_payload(first), canonical_payload(second), differing)
    return sorted(differing)


def _canonical_field(name: str, value: Any) -> Any:
    if name == INSTANT_FIELD:
        try:
            return instant_text(parse_instant(value))
        except InvalidRequest:
            return canonical(value, numeric_texts=False)
    return canonical(value, numeric_texts=name in _VALUE_FIELDS)


def _compare(path: str, first: Any, second: Any, differing: list[str]) -> None:
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name in first.keys() & second.keys():
            _compare(f"{path}.{name}" if path else name, first[name], second[name], differing)
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for index, (left, right) in enumerate(zip(first, second, strict=True)):
            _compare(f"{path}[{index}]", left, right, differing)
    elif type(first) is not type(second) or first != second:
        differing.append(path)
