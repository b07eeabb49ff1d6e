"""What a superuser may do to seals, and to rows under them that nothing else looks at."""

from __future__ import annotations

from tests.reconciliation.corruption import Corruption

LAST_SEALED = "(SELECT max(to_seq) FROM billing_seal)"

CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption(
        "What a transfer refers to is changed under a seal",
        "UPDATE billing_transfer SET reference = 'elsewhere' WHERE seq = 1 AND position = 0",
        "seals",
        "row_changed",
        "-1",
        "rows",
    ),
    Corruption(
        "A charge is deleted under a seal",
        "DELETE FROM billing_charge WHERE seq = (SELECT min(seq) FROM billing_charge)",
        "seals",
        "row_missing",
        "-1",
        "rows",
    ),
    Corruption(
        "A transfer is put in under a seal",
        "INSERT INTO billing_transfer SELECT customer_id, billing_entity_id, seq, 99, recorded_at, reason,"
        " reference, source, destination, amount, grant_id FROM billing_transfer WHERE seq = 1"
        " AND position = 0",
        "seals",
        "row_added",
        "1",
        "rows",
    ),
    Corruption(
        "A seal is broken",
        f"UPDATE billing_seal SET head = decode(repeat('11', 32), 'hex') WHERE to_seq = {LAST_SEALED}",
        "seals",
        "seal_broken",
        "-1",
        "rows",
    ),
    Corruption(
        "A seal is made to begin later",
        "UPDATE billing_seal SET from_seq = from_seq + 1 WHERE from_seq = 1",
        "seals",
        "seal_unchained",
        "-1",
        "rows",
    ),
)
