"""The bytes that seals are made of, as docs/algorithms/seals.md fixes them. Pure.

A record is its fields one after the other, each `<length in bytes>:<UTF-8 text>,` or `-` for null. A row's
hash is SHA-256 of its record. What of an event may be erased one day (its user, each of its properties)
stands in the record as a commitment: SHA-256 of a salt of its own and the value. The salts come from sixteen
random bytes per event; once these are gone, nobody can guess the value from the commitment.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from struct import Struct
from typing import Final, NamedTuple

FORMAT: Final = "tollgate-seal-1"
GENESIS: Final = bytes(32)
"""What a payer's first seal has for the head before it."""
SALT_BYTES: Final = 16
USER: Final = "user"
PROPERTY: Final = "properties."
EVENT, CHARGE, TRANSFER = KINDS = ("event", "charge", "transfer")
"""In the order in which rows of one number are sealed."""
FIELDS: Final = {
    EVENT: (
        "seq",
        "id",
        "recorded_at",
        "workspace_id",
        "api_key_id",
        "idempotency_key",
        "name",
        "occurred_at",
        "costs",
        "cost",
        "trace",
        "source",
        "given",
        "unmatched",
        "unpriced",
    ),
    CHARGE: (
        "seq",
        "id",
        "recorded_at",
        "workspace_id",
        "event_id",
        "event_recorded_at",
        "occurred_at",
        "amount",
        "currency",
        "lines",
        "funding",
        "settled_after",
        "held_after",
        "available_after",
    ),
    TRANSFER: (
        "seq",
        "position",
        "recorded_at",
        "reason",
        "reference",
        "source",
        "destination",
        "amount",
        "grant_id",
    ),
}
"""The fields of a row by its kind, in the order in which they are hashed."""
_ENTRY: Final = Struct(">cqh32s")
ENTRY_BYTES: Final = _ENTRY.size
_LETTERS: Final = {kind: kind[0].encode() for kind in KINDS}
_KINDS: Final = {letter: kind for kind, letter in _LETTERS.items()}


class Place(NamedTuple):
    """Which row of a payer. `position` is a transfer's, else 0."""

    seq: int
    kind: str
    position: int = 0

    @property
    def order(self) -> tuple[int, int, int]:
        """Where in a seal it stands."""
        return self.seq, KINDS.index(self.kind), self.position


class Entry(NamedTuple):
    """A sealed row: which, and its hash."""

    place: Place
    hash: bytes


@dataclass(slots=True, frozen=True)
class Parts:
    """What of an event may be erased.

    `values`: path -> canonical text, of what is still there. `salts`: path -> salt, of what was left when
    other parts were erased; else they come from the event's own. `erased`: path -> commitment.
    """

    values: Mapping[str, str]
    salts: Mapping[str, bytes]
    erased: Mapping[str, bytes]

    def salt_of(self, path: str, salt: bytes) -> bytes:
        """The salt of a part that is still there, by the event's own."""
        kept = self.salts.get(path)
        return part_salt(salt, path) if kept is None else kept

    def commitments(self, salt: bytes) -> dict[str, bytes]:
        """The commitments of all parts there ever were, by path."""
        found = {path: commitment(self.salt_of(path, salt), value) for path, value in self.values.items()}
        found.update(self.erased)
        return found


@dataclass(slots=True, frozen=True)
class Row:
    """A row as it is sealed: its fields as canonical texts, in the order of its kind; `parts` of an event."""

    place: Place
    fields: Sequence[str | None]
    parts: Parts | None = None


@dataclass(slots=True, frozen=True)
class Terms:
    """What a seal says of itself; instants as text in UTC with microseconds."""

    customer_id: int
    payer_id: int
    from_seq: int
    to_seq: int
    sealed_at: str


def record(fields: Iterable[str | None]) -> bytes:
    """Fields as bytes: no two lists of fields give the same."""
    return "".join(
        [
            "-" if field is None else f"{len(field) if field.isascii() else len(field.encode())}:{field},"
            for field in fields
        ]
    ).encode()


def part_salt(salt: bytes, path: str) -> bytes:
    """The salt of one part of an event: HMAC-SHA-256 of its path under the event's salt."""
    return hmac.digest(salt, path.encode(), "sha256")


def commitment(salt: bytes, value: str) -> bytes:
    """What stands for a value in its event's record."""
    return sha256(salt + value.encode()).digest()


def row_hash(row: Row, salt: bytes = b"") -> bytes:
    """SHA-256 of the row's record; `salt` is an event's own."""
    fields = [row.place.kind, *row.fields]
    if row.parts is not None:
        found = row.parts.commitments(salt)
        user = found.pop(USER, None)
        fields.append(None if user is None else user.hex())
        for path in sorted(found, key=str.encode):
            fields += (path[len(PROPERTY) :], found[path].hex())
    return sha256(record(fields)).digest()


def pack(entries: Iterable[Entry]) -> bytes:
    """Entries as a seal keeps them: letter, number, position, hash; 43 bytes each."""
    return b"".join(
        _ENTRY.pack(_LETTERS[place.kind], place.seq, place.position, digest) for place, digest in entries
    )


def unpack(packed: bytes) -> list[Entry]:
    """The entries that `pack` wrote; ValueError for anything else."""
    if len(packed) % ENTRY_BYTES or not set(packed[::ENTRY_BYTES]) <= {letter[0] for letter in _KINDS}:
        raise ValueError("these are not a seal's entries")
    return [
        Entry(Place(seq, _KINDS[letter], position), digest)
        for letter, seq, position, digest in _ENTRY.iter_unpack(packed)
    ]


def seal_head(terms: Terms, previous: bytes, packed: bytes) -> bytes:
    """The head of a seal over packed entries, after the head before it."""
    fields = [
        FORMAT,
        str(terms.customer_id),
        str(terms.payer_id),
        str(terms.from_seq),
        str(terms.to_seq),
        str(len(packed) // ENTRY_BYTES),
        terms.sealed_at,
        previous.hex(),
        sha256(packed).hexdigest(),
    ]
    return sha256(record(fields)).digest()
