"""Under the lock: everything a batch has to know, in one round trip after the rows are locked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import psycopg

from accounts.models import BillingEntity
from billing.book import PayerBook, grant_from_row, read_grants
from billing.charging.bounding import plan_limits
from billing.charging.calm import reader_of
from billing.charging.limiting import Limiting
from billing.charging.older_holds import count_older_holds
from billing.charging.planning import Plan, Planned, UniqueUse
from billing.charging.stale import StaleConfig
from billing.charging.wanted import send_wanted
from billing.funding import Funds, Grant
from billing.holds import Hold, HoldId
from billing.ledger import PayerId, open_missing, read_owed, send_lock
from billing.margin_floors import FlooredPayers
from billing.standing import Standing, read_standing
from core.numbers import ZERO
from core.pipeline import Pipeline
from core.sql import execute, number_array
from metering.store import UniqueKey, find_keys, find_uniques
from pricing.models import Counter
from pricing.rating.state import State
from pricing.store import CounterKey, read_counters

# Every statement here looks rows up by key. On a young table the planner, without statistics, would scan.
BY_KEY: Final = "SET LOCAL enable_seqscan = off"
VERSIONS: Final = """
    SELECT 0::bigint, version FROM core_configversion
    UNION ALL SELECT id, config_version FROM accounts_customer WHERE id = ANY(%s::bigint[])"""

WALLET_ONLY: Final = BillingEntity.Settlement.WALLET_ONLY.value


@dataclass(slots=True, frozen=True)
class KnownKey:
    """A key that has counted: the hash of its payload and the event it made."""

    payload_hash: bytes
    event_id: UUID
    recorded_at: datetime


@dataclass(slots=True)
class Known:
    """What was read. Changed in memory as the batch is decided item by item."""

    limiting: Limiting
    books: dict[PayerId, PayerBook] = field(default_factory=dict)
    keys: dict[tuple[int, str], KnownKey] = field(default_factory=dict)
    counters: dict[CounterKey, State] = field(default_factory=dict)
    uniques: set[UniqueKey] = field(default_factory=set)
    holds: dict[HoldId, Hold] = field(default_factory=dict)
    floored: FlooredPayers | None = None


def lock_and_read(
    raw: psycopg.Connection[Any],
    plan: Plan,
    now: datetime,
    *,
    skip_locked: bool = False,
    is_first: bool = False,
) -> tuple[list[Planned], Known]:
    """Lock the payers of a plan and read all that its items need, in one round trip.

    Gives the items whose payers could be locked (with `skip_locked` perhaps not all). Each statement of
    the pipeline sees what was committed before it began, so the reads see what the lock waited for.
    `is_first`: accounts of theirs were opened by this transaction. Raises StaleConfig.
    """
    payers = plan.payers()
    invoiced = plan.payers(item for item in plan.items if _is_invoiced(item))
    keys = _idempotency_keys(plan.items)
    counters, uniques = counter_keys(plan.items), unique_keys(plan.items)
    limiting = plan_limits(plan.items, plan.customer_versions, now, reader_of(raw))
    limiting.is_first = is_first
    with Pipeline(raw) as pipe:
        execute(pipe, BY_KEY)
        locks = send_lock(pipe, payers, skip_locked=skip_locked)
        limiting.send(pipe)
        versions = execute(pipe, VERSIONS, (number_array(plan.customer_versions),))
        found_keys = find_keys(pipe, keys)
        found_counters = read_counters(pipe, counters)
        owed = read_owed(pipe, invoiced) if invoiced else None
        grants = read_grants(pipe, payers, now)
        found_uniques = find_uniques(pipe, uniques) if uniques else None
        wanted = send_wanted(pipe, plan.items, payers, now)
    _check_versions(plan, versions.fetchall())
    locked = locks.fetchall()
    if open_missing(raw, payers, locked, skip_locked=skip_locked):
        return lock_and_read(raw, plan, now, skip_locked=skip_locked, is_first=True)
    if not limiting.receive(locked):
        raise StaleConfig([], is_global=False)
    known = Known(limiting)
    for customer_id, key, payload_hash, event_id, recorded_at in found_keys:
        known.keys[customer_id, key] = KnownKey(payload_hash, event_id, recorded_at)
    for position, quantity, transactions, volume, amount in found_counters:
        known.counters[counters[position - 1]] = State(quantity, transactions, volume, amount)
    if found_uniques is not None:
        known.uniques = {uniques[position - 1] for (position,) in found_uniques}
    standing = read_standing(raw, wanted, found_keys, locked, grants.fetchall(), now)
    known.holds = standing.holds
    count_older_holds(raw, limiting, known.holds, now)
    known.books = _open_books(
        plan.items, locked, owed.fetchall() if owed else [], grants.fetchall(), standing, now
    )
    if plan.floored is not None:
        known.floored = plan.floored
        plan.floored.open(raw, known.books, is_stored=any(item.stored is not None for item in plan.items))
    return [item for item in plan.items if _is_open(item, known)], known


def _is_invoiced(item: Planned) -> bool:
    payer = item.attribution.payer
    return payer is not None and payer.settlement != WALLET_ONLY


def _is_open(item: Planned, known: Known) -> bool:
    payer = item.attribution.payer
    return payer is None or (payer.customer_id, payer.id) in known.books


def _idempotency_keys(items: Sequence[Planned]) -> list[tuple[int, str]]:
    return sorted(
        {
            (item.attribution.config.customer_id, item.request.event.idempotency_key)
            for item in items
            if item.attribution.config is not None
        }
    )


def counter_keys(items: Sequence[Planned]) -> list[CounterKey]:
    """The counters that the items' lines move, each component's total too where it has groups."""
    keys: dict[CounterKey, None] = {}
    for item in items:
        for line in item.lines:
            keys[line.key] = None
            if line.component.rating.group_dimensions:
                keys[line.key._replace(dimensions=Counter.TOTAL)] = None
    return list(keys)


def unique_key(item: Planned, use: UniqueUse) -> UniqueKey:
    """Where an item's unique value is counted."""
    payer = item.attribution.payer
    assert payer is not None
    scope = use.scope_start.isoformat()
    return UniqueKey(payer.customer_id, payer.id, use.meter_id, scope, use.dimensions, use.value_hash)


def unique_keys(items: Sequence[Planned]) -> list[UniqueKey]:
    """All unique values that the items bring, once each."""
    return list({unique_key(item, use) for item in items for use in item.uniques})


def _check_versions(plan: Plan, rows: Sequence[tuple[int, int]]) -> None:
    found = dict(rows)
    stale = [pk for pk, version in plan.customer_versions.items() if found.get(pk) != version]
    is_global = found.get(0, 0) != plan.global_version
    if stale or is_global:
        raise StaleConfig(stale, is_global)


def _open_books(
    items: Sequence[Planned],
    locked: Sequence[Any],
    owed: Sequence[tuple[int, int, Decimal]],
    grants: Sequence[Any],
    standing: Standing,
    now: datetime,
) -> dict[PayerId, PayerBook]:
    payers = {
        (payer.customer_id, payer.id): payer
        for item in items
        if (payer := item.attribution.payer) is not None
    }
    owes = {(customer_id, payer_id): balance.copy_negate() for customer_id, payer_id, balance in owed}
    books = {}
    pending: dict[PayerId, list[Grant]] = {}
    for customer_id, payer_id, balance, held, seq, *_ in locked:
        payer = payers[customer_id, payer_id]
        funds = Funds(
            settlement=payer.settlement,
            overdraft=payer.overdraft,
            credit_limit=payer.credit_limit,
            wallet=balance,
            held=held,
            owed=owes.get((customer_id, payer_id), ZERO),
        )
        books[customer_id, payer_id] = PayerBook(
            (customer_id, payer_id), funds, seq, seq, low_balance=payer.low_balance
        )
    for row in grants:
        if (row[0], row[1]) not in books:
            continue  # its wallet is locked elsewhere
        grant, is_booked = grant_from_row(row), row[9]
        if is_booked:
            books[row[0], row[1]].funds.grants.append(grant)
        else:
            pending.setdefault((row[0], row[1]), []).append(grant)
    for book in books.values():
        book.funds.grants.sort(key=Grant.burn_order)
    standing.settle(books, now)  # before grants: what they free may expire
    for key, book in books.items():
        book.left_before = book.left
        book.settle_due(pending.get(key, ()), now)
    return books
