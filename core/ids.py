"""Public ids. Every one begins with the prefix of its noun, so that an id alone says what it names.

Rows of ordinary tables: `cus_` + the bigint in base 32, at least 8 letters, so that ids of the operator's
own like `ws_1` or `cus_acme` are never taken for ours. Rows of hot tables (events, charges): the
customer and a UUIDv7, so that the id alone finds its shard and its monthly partition.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any, Self, overload
from uuid import UUID, SafeUUID

from core.errors import NotFound

ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford: no i, l, o, u
_VALUES = {letter: index for index, letter in enumerate(ALPHABET)}
_PAIRS = [first + second for first in ALPHABET for second in ALPHABET]
_UUID_LETTERS = 26  # 128 bits in base 32
_ROW_LETTERS = 8
_LAST_62 = (1 << 62) - 1
# `UUID(int=...)` checks how it was called and whether the number fits: five times what the object costs.
_new_uuid = object.__new__
_set_int, _set_safe = UUID.__dict__["int"].__set__, UUID.__dict__["is_safe"].__set__


def encode(number: int) -> str:
    """A non-negative integer in Crockford base 32."""
    pairs = [_PAIRS[number & 1023]]
    while number := number >> 10:
        pairs.append(_PAIRS[number & 1023])
    return "".join(reversed(pairs)).lstrip("0") or "0"


def decode(text: str) -> int:
    """The integer that `encode` wrote; ValueError for anything else."""
    if not text or len(text) > _UUID_LETTERS + 13:
        raise ValueError(text)
    number = 0
    for letter in text:
        if letter not in _VALUES:
            raise ValueError(text)
        number = number * 32 + _VALUES[letter]
    return number


def public_id(prefix: str, number: int) -> str:
    """`cus_0000001h` for row 49 of the customers."""
    return f"{prefix}_{encode(number).rjust(_ROW_LETTERS, '0')}"


class PublicId:
    """The id that the outside sees of a model's rows, by their keys: `public_id = PublicId("cus")`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    @overload
    def __get__(self, row: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, row: Any, owner: type[Any]) -> str: ...
    def __get__(self, row: Any, owner: type[Any]) -> Any:
        return self if row is None else public_id(self.prefix, row.pk)


def row_id(prefix: str, public: str) -> int:
    """The row behind a public id; NotFound when it is not one of this noun."""
    head, _, tail = public.partition("_")
    try:
        number = decode(tail)
    except ValueError:
        number = -1
    if head != prefix or not 0 <= number < 2**63 or public_id(prefix, number) != public:
        raise NotFound("not_found", f"There is no {prefix}_ object {public[:80]!r}.")
    return number


def hot_id(prefix: str, customer_id: int, uuid: UUID) -> str:
    """`ch_` + customer + 26 letters of the UUID."""
    return f"{prefix}_{encode(customer_id)}{encode(uuid.int).rjust(_UUID_LETTERS, '0')}"


def hot_row(prefix: str, public: str) -> tuple[int, UUID]:
    """(customer id, UUID) behind a hot row's public id; NotFound when it is not one of this noun."""
    head, _, tail = public.partition("_")
    customer, letters = tail[:-_UUID_LETTERS], tail[-_UUID_LETTERS:]
    try:
        customer_id, number = decode(customer), decode(letters)
    except ValueError:
        customer_id, number = -1, -1
    if head != prefix or not 0 <= customer_id < 2**63 or not 0 <= number < 2**128:
        raise NotFound("not_found", f"There is no {prefix}_ object {public[:80]!r}.")
    return customer_id, UUID(int=number)


def new_uuid7(at: datetime) -> UUID:
    """One UUIDv7 (RFC 9562) of the millisecond of `at`."""
    return new_uuids7(at, 1)[0]


def new_uuids7(at: datetime, count: int) -> list[UUID]:
    """So many UUIDv7 (RFC 9562) of the millisecond of `at`; within one millisecond the order is random."""
    fixed = int(at.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62
    random = os.urandom(10 * count)
    made = []
    for start in range(0, 10 * count, 10):
        number = int.from_bytes(random[start : start + 10])
        uuid = _new_uuid(UUID)
        _set_int(uuid, fixed | (number >> 62 & 0xFFF) << 64 | number & _LAST_62)
        _set_safe(uuid, SafeUUID.unknown)
        made.append(uuid)
    return made


def first_uuid7(at: datetime) -> UUID:
    """The least UUIDv7 of an instant: what is made then or later has a larger one."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def uuid7_at(uuid: UUID) -> datetime:
    """The millisecond in which a UUIDv7 was made: its row's partition."""
    return datetime.fromtimestamp((uuid.int >> 80) / 1000, UTC)
