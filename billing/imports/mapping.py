"""How a row becomes an event: which column is which field, and what is the same in every row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing.imports.rows import JSONL, Row
from core.errors import InvalidRequest
from core.instants import instant_text, parse_instant
from core.numbers import QUANTITY_DECIMALS_MAX, fits, plain
from metering.aggregation.paths import compile_path

_FIELDS: Final = (
    "idempotency_key",
    "event",
    "workspace",
    "api_key",
    "billing_entity",
    "user",
    "trace",
    "occurred_at",
)
_COST: Final = ("cost.vendor", "cost.amount", "cost.currency")
_PROPERTIES: Final = "properties."
_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?").fullmatch
_EPOCH: Final = re.compile(r"[0-9]{10}(\.[0-9]+)?|[0-9]{13}").fullmatch
_MILLISECONDS_DIGITS: Final = 13
_HAS_OFFSET: Final = re.compile(r"([Zz]|[+-][0-9]{2}:?[0-9]{2})$").search
DIGEST_LETTERS: Final = 16
PREFIX_LENGTH_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class RowMapping:
    """`columns`: field -> column (in JSONL a dotted path); `constants`: field -> value of every row.

    Fields are those of an event, `properties.NAME`, and `cost.vendor`, `cost.amount`, `cost.currency`. A
    column that bears a field's own name needs no mapping. `zone`: whose clock times without an offset are.
    `key_prefix` begins the keys of rows that have none. `takes_all`: rows are events already, so a field that
    no event has is an error.
    """

    columns: Mapping[str, str]
    constants: Mapping[str, str]
    zone: ZoneInfo
    key_prefix: str
    takes_all: bool = False

    def event_of(self, row: Row) -> dict[str, Any]:
        """The event in the form of `/v1/events`; raises InvalidRequest naming the field.

        An imported event always says when it occurred: this instant would be wrong for history.
        """
        values = self._values(row).items()
        given = {name: value for name, value in values if value is not None and value != ""}
        found: dict[str, Any] = {**self.constants, **given}
        properties, costs = found.pop("properties", {}), found.pop("costs", None)
        cost = {name.removeprefix("cost."): found.pop(name) for name in _COST if name in found}
        event: dict[str, Any] = {}
        for name, value in found.items():
            if name.startswith(_PROPERTIES):
                properties = {**_object(properties), name.removeprefix(_PROPERTIES): typed(value)}
            else:
                event[name] = text_of(value) if name in _FIELDS else value
        if "amount" in cost:
            costs = [{name: text_of(value) for name, value in cost.items()}]
        if costs is not None:
            event["costs"] = costs
        if "occurred_at" not in event:
            raise InvalidRequest("missing_field", "occurred_at is missing.", "occurred_at")
        event["occurred_at"] = instant_text(self._instant(event["occurred_at"]))
        event.setdefault("idempotency_key", self._key(row))
        return event | {"properties": properties}

    def _values(self, row: Row) -> dict[str, Any]:
        mapped = set(self.columns.values())
        own = {
            name: value
            for name, value in row.values.items()
            if self.takes_all or (name not in mapped and (is_field(name) or name in ("properties", "costs")))
        }
        return own | {field: compile_path(column)(row.values) for field, column in self.columns.items()}

    def _instant(self, text: Any) -> datetime:
        if not isinstance(text, str):
            return parse_instant(text, "occurred_at")
        if _EPOCH(text):
            seconds = Decimal(text) / (1000 if text.isdigit() and len(text) == _MILLISECONDS_DIGITS else 1)
            whole = int(seconds)
            return datetime.fromtimestamp(whole, UTC).replace(microsecond=int((seconds - whole) * 1_000_000))
        if _HAS_OFFSET(text):
            return parse_instant(text, "occurred_at")
        local = parse_instant(f"{text}Z", "occurred_at")
        try:
            return local.replace(tzinfo=self.zone).astimezone(UTC)
        except OverflowError as error:
            raise InvalidRequest("invalid_instant", f"There is no {text[:40]!r}.", "occurred_at") from error

    def _key(self, row: Row) -> str:
        """The same for the same row of the same file in every run, and different for every other row."""
        digest = sha256(row.text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGEST_LETTERS]
        return f"{self.key_prefix}:{row.number}:{digest}"


def read_mapping(
    maps: Sequence[str], constants: Sequence[str], *, kind: str, zone: ZoneInfo, key_prefix: str
) -> RowMapping:
    """The mapping that `FIELD=COLUMN` and `FIELD=VALUE` pairs describe; raises InvalidRequest.

    JSONL without any `maps` holds events in the form of `/v1/events`.
    """
    columns, values = _pairs(maps, "--map"), _pairs(constants, "--set")
    twice = sorted(columns.keys() & values.keys())
    if twice:
        raise InvalidRequest("invalid_mapping", f"{twice[0]} stands in --map and in --set.")
    for name in (*columns, *values):
        if not is_field(name):
            there = ", ".join((*_FIELDS, "properties.NAME", *_COST))
            raise InvalidRequest("invalid_mapping", f"There is no field {name!r}; there are {there}.")
    if not 0 < len(key_prefix) <= PREFIX_LENGTH_MAX:
        raise InvalidRequest("invalid_mapping", f"A key prefix has 1 to {PREFIX_LENGTH_MAX} characters.")
    return RowMapping(columns, values, zone, key_prefix, takes_all=kind == JSONL and not columns)


def is_field(name: str) -> bool:
    """Whether an event, its cost or its properties have this field."""
    return name in _FIELDS or name in _COST or (name.startswith(_PROPERTIES) and name != _PROPERTIES)


def typed(value: Any) -> Any:
    """A property's value: a text that is a number in plain notation is that number. `007` stays a text."""
    if not isinstance(value, str) or not _NUMBER(value):
        return value
    number = Decimal(value)
    if not fits(number, QUANTITY_DECIMALS_MAX):
        return value
    return number if "." in value else int(value)


def text_of(value: Any) -> Any:
    """A field of an event is a text, even where a file has a number."""
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return plain(Decimal(value))
    return value


def _object(properties: Any) -> dict[str, Any]:
    if not isinstance(properties, dict):
        raise InvalidRequest("invalid_type", "properties must be an object.", "properties")
    return properties


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or not value:
            raise InvalidRequest("invalid_mapping", f"{option} {pair!r}: write FIELD=VALUE.")
        if name in pairs:
            raise InvalidRequest("invalid_mapping", f"{option} {name} stands twice.")
        pairs[name] = value
    return pairs
