"""Corruptions of what is owed: transfers, balances, grants, holds, limits, closes."""

from __future__ import annotations

from tests.reconciliation.corruption import OF_THE_CALL, Corruption

CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption(
        "A charge is deleted",
        f"DELETE FROM billing_charge WHERE id = {OF_THE_CALL}",
        "transfers",
        "charge_missing",
        "-11",
    ),
    Corruption(
        "The balance that a charge was answered with is changed",
        f"UPDATE billing_charge SET settled_after = settled_after + 5 WHERE id = {OF_THE_CALL}",
        "balances",
        "balance_told",
        "5",
    ),
    Corruption(
        "A transfer's amount is changed",
        f"UPDATE billing_transfer SET amount = amount + 3 WHERE reference = replace({OF_THE_CALL}::text,"
        " '-', '') AND position = 0",
        "transfers",
        "usage_not_moved",
        "3",
    ),
    Corruption(
        "A transfer is made to come from another account",
        f"UPDATE billing_transfer SET source = 'receivable' WHERE reference = replace({OF_THE_CALL}::text,"
        " '-', '')",
        "transfers",
        "moved_elsewhere",
        "11",
    ),
    Corruption(
        "A transfer's two sides are swapped",
        "UPDATE billing_transfer SET source = destination, destination = source"
        f" WHERE reference = replace({OF_THE_CALL}::text, '-', '')",
        "transfers",
        "usage_not_moved",
        "-22",
    ),
    Corruption(
        "A transfer of a top-up is deleted",
        "DELETE FROM billing_transfer WHERE reason = 'top_up'",
        "grants",
        "grant_remaining",
        "1000",
    ),
    Corruption(
        "A base fee is changed",
        "UPDATE billing_bookedfee SET amount = amount + 1 WHERE ctid = (SELECT min(ctid) FROM"
        " billing_bookedfee)",
        "transfers",
        "fee_not_moved",
        "1",
    ),
    Corruption(
        "The transfer of a coupon is deleted",
        "DELETE FROM billing_transfer WHERE reason = 'coupon'",
        "transfers",
        "fee_not_moved",
        "15",
    ),
    Corruption(
        "A balance is bumped",
        "UPDATE billing_ledgeraccount SET balance = balance + 100 WHERE kind = 'wallet'",
        "balances",
        "balance",
        "100",
    ),
    Corruption(
        "Two balances are bumped so that they still sum to zero",
        "UPDATE billing_ledgeraccount SET balance = balance + CASE kind WHEN 'wallet' THEN 5 ELSE -5 END"
        " WHERE kind IN ('wallet', 'cash')",
        "balances",
        "balance",
        "5",
    ),
    Corruption(
        "An account is deleted",
        "DELETE FROM billing_ledgeraccount WHERE kind = 'promotional'",
        "balances",
        "balance",
        "10",
    ),
    Corruption(
        "A grant is overdrawn",
        "UPDATE billing_creditgrant SET remaining = remaining + 40 WHERE kind = 'paid'",
        "grants",
        "grant_remaining",
        "40",
    ),
    Corruption(
        "A grant is emptied",
        "UPDATE billing_creditgrant SET remaining = 0, is_open = false WHERE kind = 'paid'",
        "grants",
        "wallet_over_grants",
        "906.5",
    ),
    Corruption(
        "A hold is left over on the wallet",
        "UPDATE billing_ledgeraccount SET held = held + 6 WHERE kind = 'wallet'",
        "holds",
        "held",
        "6",
    ),
    Corruption(
        "An open hold is deleted",
        "DELETE FROM billing_authorization WHERE status = 'authorized' AND kind = 'authorization'",
        "holds",
        "held",
        "5",
    ),
    Corruption(
        "An open lease is made smaller",
        "UPDATE billing_authorization SET held = held - 2 WHERE status = 'authorized' AND kind = 'lease'",
        "holds",
        "held",
        "2",
    ),
    Corruption(
        "A capture is made to name another amount",
        "UPDATE billing_authorization SET captured_amount = captured_amount + 1 WHERE status = 'captured'",
        "holds",
        "capture",
        "1",
    ),
    Corruption(
        "What a limit reserves for a hold is changed",
        "UPDATE billing_limithold SET amount = amount + 2 WHERE ctid = (SELECT min(ctid) FROM"
        " billing_limithold)",
        "limits",
        "limit_hold",
        "2",
    ),
    Corruption(
        "A workspace's limit is given to another organization",
        "UPDATE billing_spendlimit SET level = 'organization', workspace_id = NULL, organization_id = 0"
        " WHERE level = 'workspace'",
        "limits",
        "hold_misplaced",
        "5",
    ),
    Corruption(
        "A limit's counter is wrong",
        "UPDATE billing_limitcounter SET used = used + 12 WHERE ctid = (SELECT min(ctid) FROM"
        " billing_limitcounter WHERE counter LIKE 'lim:%')",
        "limits",
        "limit_counter",
        "12",
    ),
    Corruption(
        "What a close booked is changed",
        "UPDATE billing_closingline SET amount = amount + 1 WHERE kind = 'minimum'",
        "transfers",
        "close_not_moved",
        "1",
    ),
    Corruption(
        "What a close booked is deleted",
        "DELETE FROM billing_closingline WHERE kind = 'minimum'",
        "transfers",
        "close_not_moved",
        "22.5",
    ),
    Corruption(
        "A period is made to have closed at another instant",
        "UPDATE pricing_billingperiod SET closed_at = closed_at + interval '1 hour' WHERE status = 'closed'",
        "periods",
        "closed_apart",
        "1",
        "rows",
    ),
    Corruption(
        "A closed period is opened again",
        "UPDATE pricing_billingperiod SET status = 'grace', closed_at = NULL WHERE status = 'closed'",
        "periods",
        "coupon_of_an_open_period",
        "15",
    ),
    Corruption(
        "A segment is made to reach into the next period",
        "UPDATE pricing_segment SET ends_at = ends_at + interval '1 day' WHERE closed_at IS NOT NULL",
        "periods",
        "segment_outside_its_period",
        "1",
        "rows",
    ),
    Corruption(
        "A segment is made to overlap the one before",
        "UPDATE pricing_segment SET starts_at = starts_at - interval '2 days' WHERE closed_at IS NULL",
        "periods",
        "periods_overlap",
        "1",
        "rows",
    ),
    Corruption(
        "A vendor's bill is made that was spread over nobody",
        "INSERT INTO billing_vendorbill (vendor, month, model, currency, total, not_usage, reference, status,"
        " booked, spread, calls, left_out, created_at, created_by, applied_by) SELECT 'v', '2026-01-01', '',"
        " 'USD', 3, 0, '', 'applied', 1, 2, 1, 0, max(recorded_at), '', '' FROM metering_usageevent",
        "bills",
        "bill_spread",
        "2",
    ),
)
