"""Sealing what is not sealed yet: in the background, found by the database, a bounded batch a transaction.

A committed wallet row names the payer's last number, and what was written up to it is committed with it and
never changes; so sealing needs no lock that a charge would wait for. Two sealers never meet at a payer. A
sealer that is killed leaves whole seals; the next one goes on where they end.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import transaction

from billing.ledger import PayerId
from billing.seals.canonical import (
    ENTRY_BYTES,
    EVENT,
    GENESIS,
    SALT_BYTES,
    Entry,
    Row,
    Terms,
    pack,
    row_hash,
    seal_head,
)
from billing.store_seals import End, Range, find_unsealed, lock_seals, read_ends, read_rows, write_seals
from core.sql import driver

SEAL_NUMBERS: Final = 1000
"""At most so many numbers in one seal."""
BATCH_NUMBERS: Final = 4000
"""At most so many numbers are read, hashed and committed at once."""
PAYERS_AT_ONCE: Final = 500


@dataclass(slots=True)
class Sealed:
    """What a run has sealed."""

    payers: int = 0
    seals: int = 0
    rows: int = 0

    def add(self, other: Sealed) -> None:
        """Count what another batch has sealed."""
        self.payers += other.payers
        self.seals += other.seals
        self.rows += other.rows


@dataclass(slots=True)
class NewSeal:
    """A seal to be written."""

    terms: Terms
    previous: bytes
    entries: bytes
    salts: bytes

    @property
    def head(self) -> bytes:
        """Its head."""
        return seal_head(self.terms, self.previous, self.entries)


def seal_due(now: datetime) -> Sealed:
    """Seal everything that is committed and not sealed yet; leaves out payers whom another run is sealing."""
    total, after = Sealed(), (0, 0)
    while found := find_unsealed(driver(), after, PAYERS_AT_ONCE):
        after = found[-1][0]
        for payers in _batches(found):
            total.payers += len(payers)
            total.add(_seal_all(payers, now))
    return total


def seal_payers(payers: Sequence[PayerId], now: datetime) -> Sealed:
    """Seal these payers up to their last committed number, waiting for whoever is at it."""
    total = _seal_all(payers, now, wait=True)
    total.payers = len(payers)
    return total


def _batches(found: Iterable[tuple[PayerId, int]]) -> Iterator[list[PayerId]]:
    batch: list[PayerId] = []
    numbers = 0
    for payer, count in found:
        batch.append(payer)
        numbers += count
        if numbers >= BATCH_NUMBERS:
            yield batch
            batch, numbers = [], 0
    if batch:
        yield batch


def _seal_all(payers: Sequence[PayerId], now: datetime, *, wait: bool = False) -> Sealed:
    total = Sealed()
    while payers:
        sealed, payers = _seal_batch(payers, now, wait=wait)
        total.add(sealed)
    return total


@transaction.atomic
def _seal_batch(payers: Sequence[PayerId], now: datetime, *, wait: bool) -> tuple[Sealed, list[PayerId]]:
    """Seal BATCH_NUMBERS numbers of the payers; what was sealed, and who has more."""
    raw = driver()
    ends = read_ends(raw, lock_seals(raw, payers, wait=wait))
    ranges, unfinished = _ranges(ends)
    rows = {payer: list(found) for payer, found in read_rows(raw, ranges)}
    heads = {end.payer: end.head or GENESIS for end in ends}
    made = [
        seal for each in ranges for seal in _chain(each, rows.get(each.payer, []), heads[each.payer], now)
    ]
    write_seals(raw, map(_seal_values, made), map(_salt_values, made))
    return Sealed(0, len(made), sum(map(len, rows.values()))), unfinished


def _ranges(ends: Iterable[End]) -> tuple[list[Range], list[PayerId]]:
    ranges, unfinished, left = [], [], BATCH_NUMBERS
    for end in ends:
        count = min(end.seq - end.sealed, left)
        left -= max(count, 0)
        if count > 0:
            ranges.append(Range(end.payer, end.sealed + 1, end.sealed + count))
        if end.seq - end.sealed > count:
            unfinished.append(end.payer)
    return ranges, unfinished


def _chain(found: Range, rows: Sequence[Row], head: bytes, now: datetime) -> Iterator[NewSeal]:
    """The seals of a range, each after the one before it."""
    place = 0
    for low in range(found.low, found.high + 1, SEAL_NUMBERS):
        high = min(low + SEAL_NUMBERS - 1, found.high)
        first = place
        while place < len(rows) and rows[place].place.seq <= high:
            place += 1
        seal = _new_seal(Terms(*found.payer, low, high, sealed_text(now)), head, rows[first:place])
        yield seal
        head = seal.head


def _new_seal(terms: Terms, previous: bytes, rows: Sequence[Row]) -> NewSeal:
    """A seal over rows, with new salts for its events.

    An event whose data was erased before it was sealed cannot be: erasing seals first.
    """
    salts = secrets.token_bytes(SALT_BYTES * sum(row.place.kind == EVENT for row in rows))
    entries, place = [], 0
    for row in rows:
        if row.parts is None:
            entries.append(Entry(row.place, row_hash(row)))
        else:
            entries.append(Entry(row.place, row_hash(row, salts[place : place + SALT_BYTES])))
            place += SALT_BYTES
    return NewSeal(terms, previous, pack(entries), salts)


def sealed_text(at: datetime) -> str:
    """An instant in UTC with all six digits of its microseconds, as seals write it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seal_values(seal: NewSeal) -> tuple[str, ...]:
    terms = seal.terms
    numbers = (terms.customer_id, terms.payer_id, terms.from_seq, terms.to_seq, _rows_in(seal))
    return (
        *map(str, numbers),
        *(f"\\x{raw.hex()}" for raw in (seal.previous, seal.head, seal.entries)),
        terms.sealed_at,
    )


def _salt_values(seal: NewSeal) -> tuple[str, ...]:
    terms = seal.terms
    return str(terms.customer_id), str(terms.payer_id), str(terms.to_seq), f"\\x{seal.salts.hex()}"


def _rows_in(seal: NewSeal) -> int:
    return len(seal.entries) // ENTRY_BYTES
