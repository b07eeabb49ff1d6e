"""The ledger's SQL, and the only writer of its tables.

Order of locks: the wallet rows of the payers concerned, sorted by (customer, payer), once per
transaction. Whoever holds a wallet row may write all that belongs to the payer: its other accounts,
counters, buckets, grants, and allot its running numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, NamedTuple

from core.pipeline import Answer
from core.sql import NULL, TAB, HotTable, Row, Session, execute, key_arrays

PayerId = tuple[int, int]
"""(customer id, billing entity id)"""
MovedAccount = tuple[int, int, str, Decimal, Decimal, int, Decimal, Decimal]
"""What becomes of an account: (customer, payer, kind, what is added to the balance, held, number, what is
added to turnover, and to throughput)."""

WALLET: Final = "wallet"
RECEIVABLE: Final = "receivable"
REVENUE: Final = "revenue"
CASH: Final = "cash"
PROMOTIONAL: Final = "promotional"
BREAKAGE: Final = "breakage"
LEAKAGE: Final = "leakage"
ADJUSTMENTS: Final = "adjustments"

TRANSFERS: Final = HotTable(
    "billing_transfer",
    {
        "customer_id": "bigint",
        "billing_entity_id": "bigint",
        "seq": "bigint",
        "position": "smallint",
        "recorded_at": "timestamptz",
        "reason": "text",
        "reference": "text",
        "source": "text",
        "destination": "text",
        "amount": "numeric",
        "grant_id": "bigint",
    },
)
LOCK: Final = """
    SELECT a.customer_id, a.billing_entity_id, a.balance, a.held, a.seq, a.turnover, a.throughput
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(c, b)
    JOIN billing_ledgeraccount a ON a.customer_id = c AND a.billing_entity_id = b AND a.kind = 'wallet'
    ORDER BY a.customer_id, a.billing_entity_id FOR UPDATE OF a"""
# Whoever is a customer's only payer locks none of its limits. So a second one's row waits for that payer, who
# finds the customer changed from then on; two of those that are there are enough to have met it.
OPEN: Final = """
    WITH new AS MATERIALIZED (
        SELECT c, b FROM unnest(%s::bigint[], %s::bigint[]) AS t(c, b) WHERE NOT EXISTS (
            SELECT FROM billing_ledgeraccount a
            WHERE a.customer_id = c AND a.billing_entity_id = b AND a.kind = 'wallet')),
    known AS MATERIALIZED (
        SELECT c, a.billing_entity_id AS b FROM (SELECT DISTINCT c FROM new) AS t, LATERAL (
            SELECT billing_entity_id FROM billing_ledgeraccount WHERE customer_id = t.c AND kind = 'wallet'
            ORDER BY billing_entity_id LIMIT 2) AS a),
    met AS MATERIALIZED (
        SELECT c, b FROM known
        JOIN billing_ledgeraccount a ON a.customer_id = c AND a.billing_entity_id = b AND a.kind = 'wallet'
        ORDER BY c, b FOR UPDATE)
    INSERT INTO billing_ledgeraccount (customer_id, billing_entity_id, kind, balance, held, seq)
    SELECT c, b, 'wallet', 0, 0, 0 FROM new
    WHERE c NOT IN (SELECT c FROM (SELECT c, b FROM known EXCEPT SELECT c, b FROM met) AS busy)
    ORDER BY c, b
    ON CONFLICT DO NOTHING"""
OWED: Final = """
    SELECT a.customer_id, a.billing_entity_id, a.balance
    FROM unnest(%s::bigint[], %s::bigint[]) AS t(c, b)
    JOIN billing_ledgeraccount a ON a.customer_id = c AND a.billing_entity_id = b AND a.kind = 'receivable'"""
MOVE: Final = """
    INSERT INTO billing_ledgeraccount AS a
        (customer_id, billing_entity_id, kind, balance, held, seq, turnover, throughput)
    SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::numeric[], %s::numeric[], %s::bigint[],
                         %s::numeric[], %s::numeric[])
    ON CONFLICT (customer_id, billing_entity_id, kind) DO UPDATE
    SET balance = a.balance + EXCLUDED.balance, held = EXCLUDED.held, seq = EXCLUDED.seq,
        turnover = a.turnover + EXCLUDED.turnover, throughput = a.throughput + EXCLUDED.throughput"""


class Transfer(NamedTuple):
    """`amount` > 0 from `source` to `destination`, for or from a grant."""

    source: str
    destination: str
    amount: Decimal
    grant_id: int | None = None


@dataclass(slots=True)
class Movement:
    """What one database transaction adds to one account, and the last number that did."""

    balance: Decimal
    seq: int


def lock_accounts(raw: Session, payers: Sequence[PayerId]) -> list[Any]:
    """Lock the wallet rows of `payers` in id order, making those that are missing; rows as `send_lock`."""
    locked = send_lock(raw, payers).fetchall()
    if open_missing(raw, payers, locked):
        locked = send_lock(raw, payers).fetchall()
    return locked


def send_lock(raw: Session, payers: Sequence[PayerId], *, skip_locked: bool = False) -> Answer:
    """Lock wallet rows in id order: (customer, payer, balance, held, seq, turnover, throughput). May stand in
    a pipeline.

    With `skip_locked`, rows that another transaction holds are left out instead of waited for. The one
    place that knows how rows are locked (over shards it would be UPDATE ... RETURNING).
    """
    return execute(raw, LOCK + (" SKIP LOCKED" if skip_locked else ""), key_arrays(payers, "nn"))


def open_missing(
    raw: Session,
    payers: Sequence[PayerId],
    locked: Sequence[Any],
    *,
    skip_locked: bool = False,
) -> bool:
    """Make the wallet rows of payers that never had one; whether a lock is due then.

    Under SKIP LOCKED a missing row may be there and held by another transaction, or those that a new one has
    to meet may be held: then it is not made, nobody is waited for, and nothing is due.
    """
    there = {(row[0], row[1]) for row in locked}
    missing = [payer for payer in payers if payer not in there]
    if not missing:
        return False
    how = OPEN.replace("FOR UPDATE", "FOR UPDATE SKIP LOCKED") if skip_locked else OPEN
    made = execute(raw, how, key_arrays(missing, "nn"))
    return made.rowcount > 0 or not skip_locked


def read_owed(raw: Session, payers: Sequence[PayerId]) -> Answer:
    """(customer, payer, balance of the receivable) of locked payers; negative = owed."""
    return execute(raw, OWED, key_arrays(payers, "nn"))


def apply_movements(raw: Session, rows: Sequence[MovedAccount]) -> None:
    """Add to the accounts of payers whose wallet rows are locked."""
    if rows:
        execute(raw, MOVE, key_arrays(rows, "nntnnnnn"))


def transfer_row(
    payer: PayerId, seq: int, position: int, recorded_at: str, reason: str, reference: str, transfer: Transfer
) -> Row:
    """A transfer as a row of TRANSFERS."""
    source, destination, amount, grant_id = transfer
    grant = NULL if grant_id is None else grant_id
    return (
        f"{payer[0]}\t{payer[1]}\t{seq}\t{position}\t{recorded_at}\t{reason}\t{reference}"
        f"\t{source}\t{destination}\t{amount!s}\t{grant}"
    )


def read_row(row: Row) -> Transfer:
    """The transfer in a row of TRANSFERS."""
    *_, source, destination, amount, grant = row.split(TAB)
    return Transfer(source, destination, Decimal(amount), None if grant == NULL else int(grant))
