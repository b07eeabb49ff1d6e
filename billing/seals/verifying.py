"""Rows against their seals: what of a payer is not what it was when it was sealed, row by row.

Reads a bounded number of rows at a time, and takes no lock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import psycopg

from billing.ledger import PayerId
from billing.seals.canonical import (
    ENTRY_BYTES,
    EVENT,
    GENESIS,
    SALT_BYTES,
    Entry,
    Place,
    Row,
    row_hash,
    seal_head,
    unpack,
)
from billing.store_seals import Body, Header, Range, read_bodies, read_headers, read_rows

NUMBERS_AT_ONCE: Final = 4000
SEALS_AT_ONCE: Final = 500


class Cause(StrEnum):
    """What is wrong with a seal or with a row under one."""

    CHANGED = "changed"
    MISSING = "missing"
    ADDED = "added"
    BROKEN = "broken"
    UNCHAINED = "unchained"


SAYS: Final = {
    Cause.CHANGED: "The row is not what it was when it was sealed.",
    Cause.MISSING: "The row was sealed and is gone.",
    Cause.ADDED: "The row was not there when its number was sealed.",
    Cause.BROKEN: "The seal itself was changed: its head is not the hash of what it holds.",
    Cause.UNCHAINED: "The seal does not follow the one before it.",
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """Something that does not fit its seal, the one over the numbers `from_seq` to `to_seq`.

    `place` is the row; None where it is the seal.
    """

    payer: PayerId
    cause: Cause
    from_seq: int
    to_seq: int
    place: Place | None = None

    @property
    def subject(self) -> str:
        """What does not fit, in words that are the same every time."""
        if self.place is None:
            return f"seal {self.from_seq} to {self.to_seq}"
        position = f"/{self.place.position}" if self.place.position else ""
        return f"{self.place.kind} {self.place.seq}{position}"


@dataclass(slots=True)
class Verification:
    """A pass over the seals of payers. `rows` and `seals` grow while `misfits` is being read."""

    raw: psycopg.Connection[Any]
    spans: Sequence[tuple[int, int, int]]
    rows: int = 0
    seals: int = 0
    before: Header | None = None
    whole: frozenset[PayerId] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        """Whose seals are looked at from the first one on."""
        self.whole = frozenset((span[0], span[1]) for span in self.spans if span[2] == 0)

    def misfits(self) -> Iterator[Misfit]:
        """What does not fit, in the order of payers and numbers.

        `spans` are (customer, payer, after): seals that end after that number are looked at.
        """
        spans, after = sorted(self.spans), None
        while headers := read_headers(self.raw, spans, after, SEALS_AT_ONCE):
            after = headers[-1]
            for batch in batches(headers):
                yield from self._batch(batch)

    def _batch(self, headers: Sequence[Header]) -> Iterator[Misfit]:
        bodies = read_bodies(self.raw, [header.id for header in headers])
        for header, own in rows_under(self.raw, headers):
            yield from self._chain(header)
            yield from _differences(header, bodies[header.id], own)
            self.rows += len(own)
            self.seals += 1

    def _chain(self, header: Header) -> Iterator[Misfit]:
        """Whether the seal follows the one before it; where only later ones are looked at, the first may be
        any."""
        before, self.before = self.before, header
        if before is not None and before.payer == header.payer:
            follows = (header.terms.from_seq, header.previous) == (before.terms.to_seq + 1, before.head)
        elif header.terms.from_seq == 1 or header.payer in self.whole:
            follows = (header.terms.from_seq, header.previous) == (1, GENESIS)
        else:
            follows = True
        if not follows:
            yield _misfit(header, Cause.UNCHAINED)


def batches(headers: Iterable[Header]) -> Iterator[list[Header]]:
    """Seals in groups whose rows may be in memory together."""
    batch: list[Header] = []
    numbers = 0
    for header in headers:
        count = header.terms.to_seq - header.terms.from_seq + 1
        if batch and numbers + count > NUMBERS_AT_ONCE:
            yield batch
            batch, numbers = [], 0
        batch.append(header)
        numbers += count
    if batch:
        yield batch


def rows_under(raw: psycopg.Connection[Any], headers: Sequence[Header]) -> Iterator[tuple[Header, list[Row]]]:
    """Seals with the rows that have their numbers now, events without their salts."""
    rows = {payer: list(found) for payer, found in read_rows(raw, _ranges(headers))}
    for header in headers:
        low, high = header.terms.from_seq, header.terms.to_seq
        yield header, [row for row in rows.get(header.payer, ()) if low <= row.place.seq <= high]


def _ranges(headers: Iterable[Header]) -> list[Range]:
    """The numbers under seals, each once, also where seals should overlap."""
    found: list[Range] = []
    for header in headers:
        low, high = header.terms.from_seq, header.terms.to_seq
        if found and found[-1].payer == header.payer and found[-1].high + 1 >= low:
            found[-1] = found[-1]._replace(high=max(high, found[-1].high))
        else:
            found.append(Range(header.payer, low, high))
    return found


def _differences(header: Header, body: Body, rows: Iterable[Row]) -> Iterator[Misfit]:
    """A seal against its rows. A seal that is broken says no more of its rows than that."""
    try:
        entries = unpack(body.entries)
    except ValueError:
        entries = []
    if (
        len(body.entries) != header.rows * ENTRY_BYTES
        or seal_head(header.terms, header.previous, body.entries) != header.head
    ):
        yield _misfit(header, Cause.BROKEN)
        return
    found: dict[Place, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.place].append(row)
    salts = salts_of(entries, body.salts or b"")
    for entry in entries:
        same = found.pop(entry.place, [])
        if not same:
            yield _misfit(header, Cause.MISSING, entry.place)
        elif not any(row_hash(row, salts.get(entry.place, b"")) == entry.hash for row in same):
            yield _misfit(header, Cause.CHANGED, entry.place)
        if len(same) > 1:
            yield _misfit(header, Cause.ADDED, entry.place)
    for place in found:
        yield _misfit(header, Cause.ADDED, place)


def salts_of(entries: Iterable[Entry], salts: bytes) -> dict[Place, bytes]:
    """The salt of each event of a seal."""
    events = (entry.place for entry in entries if entry.place.kind == EVENT)
    return {
        place: salts[number * SALT_BYTES : (number + 1) * SALT_BYTES] for number, place in enumerate(events)
    }


def _misfit(header: Header, cause: Cause, place: Place | None = None) -> Misfit:
    return Misfit(header.payer, cause, header.terms.from_seq, header.terms.to_seq, place)
