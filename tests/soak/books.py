"""What the database says at the end, as plain rows: the other side of every check."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import psycopg

from core.ids import hot_id, public_id

CHARGES: Final = """
    SELECT c.customer_id, c.id, e.idempotency_key, c.event_id = c.id, c.billing_entity_id, c.workspace_id,
           e.api_key_id, c.seq, c.amount,
           coalesce((SELECT sum((line->>'absorbed')::numeric) FROM jsonb_array_elements(c.lines) AS line), 0),
           c.occurred_at, c.recorded_at, c.settled_after, c.held_after, c.available_after
    FROM billing_charge c
    JOIN metering_usageevent e ON e.customer_id = c.customer_id AND e.id = c.event_id
        AND e.recorded_at = c.event_recorded_at
    ORDER BY c.customer_id, c.billing_entity_id, c.seq"""
EVENTS: Final = "SELECT customer_id, idempotency_key, id, source FROM metering_usageevent"
QUARANTINED: Final = "SELECT idempotency_key, count(*) FROM metering_quarantinedevent GROUP BY 1"
TRANSFERS: Final = """
    SELECT t.billing_entity_id, t.seq, t.reason, t.source, t.destination, t.amount, t.grant_id,
           coalesce(cardinality(g.components), 0) > 0
    FROM billing_transfer t LEFT JOIN billing_creditgrant g ON g.id = t.grant_id
    ORDER BY t.billing_entity_id, t.seq, t.position"""
OVERSPEND: Final = "SELECT billing_entity_id, seq, amount, cause FROM billing_overspend"
DENIALS: Final = """
    SELECT billing_entity_id, idempotency_key, reason, level, level_id, expected_amount, available, "limit",
           used
    FROM billing_denial"""
HOLDS: Final = """
    SELECT customer_id, id, kind, status, held, amount, captured_amount, idempotency_key, billing_entity_id
    FROM billing_authorization"""
LEFT: Final = """
    SELECT (SELECT count(*) FROM billing_authorization WHERE held <> 0 OR status = 'authorized'),
           (SELECT count(*) FROM billing_limithold),
           (SELECT coalesce(sum(held), 0) FROM billing_ledgeraccount)"""
ROWS: Final = {
    "top_up": ("top", "SELECT id, billing_entity_id, amount FROM billing_topup"),
    "grant": ("grt", "SELECT id, billing_entity_id, amount FROM billing_creditgrant"),
    "adjust": ("adj", "SELECT id, billing_entity_id, amount FROM billing_adjustment"),
    "reverse": (
        "rev",
        "SELECT id, billing_entity_id, amount FROM billing_reversal WHERE cause = 'event'",
    ),
}
COUNTERS: Final = """
    SELECT l.id, c.starts_at, c.used FROM billing_spendlimit l
    JOIN billing_limitcounter c ON c.customer_id = l.customer_id AND c.counter = 'lim:' || l.id"""


class Charged(NamedTuple):
    """A charge. `is_first`: it was made with its event, not later (re-rated, reversed)."""

    customer: int
    id: str
    key: str
    is_first: bool
    payer: int
    workspace: int | None
    api_key: int | None
    seq: int
    amount: Decimal
    absorbed: Decimal
    occurred_at: datetime
    recorded_at: datetime
    settled: Decimal
    held: Decimal
    available: Decimal

    @property
    def counted(self) -> Decimal:
        """What its payer spent on it."""
        return self.amount - self.absorbed


class Moved(NamedTuple):
    """A transfer. `is_limited`: its grant is for some components only."""

    payer: int
    seq: int
    reason: str
    source: str
    destination: str
    amount: Decimal
    grant: int | None
    is_limited: bool


class Refused(NamedTuple):
    """A denial."""

    payer: int
    key: str
    reason: str
    level: str
    level_id: str
    expected: Decimal
    available: Decimal
    limit: Decimal | None
    used: Decimal | None


class Held(NamedTuple):
    """An authorization or lease."""

    customer: int
    id: str
    kind: str
    status: str
    held: Decimal
    amount: Decimal
    captured: Decimal | None
    key: str
    payer: int


@dataclass
class Books:
    """All that is checked against. `overspend` by (payer, seq); `money` are rows of top-ups and the like by
    kind and public id, `left` what still is held: (holds, holds of limits, money)."""

    charges: list[Charged] = field(default_factory=list)
    events: dict[str, tuple[int, str]] = field(default_factory=dict)
    event_rows: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)
    transfers: dict[int, list[Moved]] = field(default_factory=dict)
    overspend: dict[tuple[int, int], tuple[Decimal, str]] = field(default_factory=dict)
    denials: dict[str, list[Refused]] = field(default_factory=dict)
    holds: dict[str, Held] = field(default_factory=dict)
    money: dict[str, dict[str, tuple[int, Decimal]]] = field(default_factory=dict)
    counters: dict[str, dict[datetime, Decimal]] = field(default_factory=dict)
    left: tuple[Any, ...] = (0, 0, 0)

    @property
    def first_charges(self) -> dict[str, Charged]:
        """Those that were made with their events, by the event's key."""
        return {charge.key: charge for charge in self.charges if charge.is_first}


def read_books(connection: psycopg.Connection[Any]) -> Books:
    """All of it, from an installation at rest."""

    def rows(query: str) -> Sequence[Any]:
        return connection.execute(query.encode()).fetchall()

    books = Books()
    books.charges = [Charged(row[0], hot_id("ch", row[0], row[1]), *row[2:]) for row in rows(CHARGES)]
    events = rows(EVENTS)
    books.events = {key: (customer, source) for customer, key, _, source in events}
    books.event_rows = len(events)
    books.quarantined = dict(rows(QUARANTINED))
    transfers: dict[int, list[Moved]] = defaultdict(list)
    for row in rows(TRANSFERS):
        transfers[row[0]].append(Moved(*row))
    books.transfers = dict(transfers)
    books.overspend = {(payer, seq): (amount, cause) for payer, seq, amount, cause in rows(OVERSPEND)}
    for row in rows(DENIALS):
        books.denials.setdefault(row[1], []).append(Refused(*row))
    for row in rows(HOLDS):
        prefix = "lease" if row[2] == "lease" else "auth"
        hold = Held(row[0], hot_id(prefix, row[0], row[1]), *row[2:])
        books.holds[hold.id] = hold
    for kind, (prefix, query) in ROWS.items():
        books.money[kind] = {public_id(prefix, row[0]): (row[1], row[2]) for row in rows(query)}
    for limit, starts_at, used in rows(COUNTERS):
        books.counters.setdefault(public_id("lim", limit), {})[starts_at] = used
    books.left = tuple(rows(LEFT)[0])
    return books
