"""Letting a person's data go, a bounded batch of rows at a time: what is erased of each, and its proof."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol
from uuid import UUID

import psycopg

from billing.erasures.keeping import Keeper
from billing.ledger import PayerId
from billing.seals.canonical import EVENT, PROPERTY, SALT_BYTES, USER, Place, commitment, part_salt, unpack
from billing.store_erasures import (
    FoundEvent,
    FoundHold,
    Person,
    erase_events,
    erase_holds,
    erase_quarantined,
    find_events,
    find_holds,
    find_quarantined,
    lock_salts,
    read_seals_of,
    write_salts,
)

EVENTS_AT_ONCE: Final = 200
"""Each may be under a seal of its own, whose entries are read."""
HOLDS_AT_ONCE: Final = 500


class Found(Protocol):
    """An event or an authorization with something of a person."""

    name: str
    user: str | None
    shown: dict[str, str]
    erased: list[str]


@dataclass(slots=True)
class Wish:
    """Whose data is erased: all of `user` and the named properties of its events, and each property that is
    one of `person.values`. `kept` collects the properties that had to stay, and why."""

    erasure_id: int
    person: Person
    properties: Collection[str]
    keeper: Keeper
    at: datetime
    kept: dict[str, str] = field(default_factory=dict)

    def choose(self, found: Found) -> None:
        """Say of a row what of it is erased."""
        is_theirs = self.person.user is not None and found.user == self.person.user
        found.erased = [USER] if is_theirs else []
        for name, text in found.shown.items():
            if text in self.person.values or (is_theirs and name in self.properties):
                reason = self.keeper.reason(found.name, name)
                if reason is None:
                    found.erased.append(PROPERTY + name)
                else:
                    self.kept[f"{found.name}.{name}"] = reason


@dataclass(slots=True)
class ErasedRows:
    """What a batch came to: rows and parts of them that were erased, and the last row looked at."""

    last: Any
    rows: int = 0
    parts: int = 0


def erase_from_events(
    raw: psycopg.Connection[Any], wish: Wish, payer: PayerId, after: int, upto: int
) -> ErasedRows | None:
    """Erase from the next events of a payer beyond `after`, all of them sealed; None when there are none.

    Whoever calls has locked the payer's seals.
    """
    found = find_events(raw, wish.person, payer[1], after, upto, EVENTS_AT_ONCE)
    if not found:
        return None
    for event in found:
        wish.choose(event)
    events = [event for event in found if event.erased]
    if events:
        _move_proof(raw, payer, events)
        erase_events(raw, payer, wish.erasure_id, wish.at, events)
    return ErasedRows(found[-1].seq, len(events), sum(len(event.erased) for event in events))


def _move_proof(raw: psycopg.Connection[Any], payer: PayerId, events: Sequence[FoundEvent]) -> None:
    """Put commitments in the place of what is erased. An event's own salt goes, those of the rest stay."""
    seals = read_seals_of(raw, payer, [event.seq for event in events if event.parts is None])
    places = {last: _places(entries) for last, entries in dict(seals.values()).items()}
    salts = lock_salts(raw, payer, places)
    for event in events:
        known = event.parts
        if known is None:
            last = seals[event.seq][0]
            start = places[last][event.seq]
            salt = bytes(salts[last][start : start + SALT_BYTES])
            salts[last][start : start + SALT_BYTES] = bytes(SALT_BYTES)
            known = {path: {"salt": part_salt(salt, path).hex()} for path in _paths(event)}
        event.parts = known | {
            path: {"hash": commitment(bytes.fromhex(known[path]["salt"]), _value(event, path)).hex()}
            for path in event.erased
        }
    if salts:
        write_salts(raw, payer, salts)


def _places(entries: bytes) -> Mapping[int, int]:
    """Where in a seal's salts those of its events begin, by number."""
    events: list[Place] = [entry.place for entry in unpack(entries) if entry.place.kind == EVENT]
    return {place.seq: number * SALT_BYTES for number, place in enumerate(events)}


def _paths(event: FoundEvent) -> list[str]:
    return [PROPERTY + name for name in event.texts] + ([] if event.user is None else [USER])


def _value(event: FoundEvent, path: str) -> str:
    return str(event.user) if path == USER else event.texts[path.removeprefix(PROPERTY)]


def erase_from_holds(raw: psycopg.Connection[Any], wish: Wish, after: UUID) -> ErasedRows | None:
    """Erase from the customer's next authorizations beyond `after`; None when there are none."""
    found: list[FoundHold] = find_holds(raw, wish.person, after, HOLDS_AT_ONCE)
    if not found:
        return None
    for hold in found:
        wish.choose(hold)
    holds = [hold for hold in found if hold.erased]
    if holds:
        erase_holds(raw, wish.person.customer_id, wish.erasure_id, wish.at, holds)
    return ErasedRows(found[-1].id, len(holds), sum(len(hold.erased) for hold in holds))


def erase_from_quarantine(raw: psycopg.Connection[Any], wish: Wish, after: int) -> ErasedRows | None:
    """Erase from the customer's next events in quarantine beyond `after`; None when there are none."""
    found = find_quarantined(raw, wish.person, after, HOLDS_AT_ONCE)
    if not found:
        return None
    for row in found:
        wish.choose(row)
    rows = [row for row in found if row.erased]
    if rows:
        erase_quarantined(raw, rows)
    return ErasedRows(found[-1].id, len(rows), sum(len(row.erased) for row in rows))
