"""Corruptions of what was used: keys, events, charges, counters, buckets."""

from __future__ import annotations

from tests.reconciliation.corruption import OF_THE_CALL, Corruption

CORRUPTIONS: tuple[Corruption, ...] = (
    Corruption(
        "A key is deleted",
        f"DELETE FROM metering_idempotencykey WHERE event_id = {OF_THE_CALL}",
        "keys",
        "key_missing",
        "-1",
        "events",
    ),
    Corruption(
        "A key is made to name another event",
        f"UPDATE metering_idempotencykey SET event_id = gen_random_uuid() WHERE event_id = {OF_THE_CALL}",
        "keys",
        "key_missing",
        "-1",
        "events",
    ),
    Corruption(
        "The key of a hold is deleted",
        "DELETE FROM metering_idempotencykey k USING billing_authorization a"
        " WHERE k.event_id = a.id AND a.kind = 'authorization' AND a.status = 'authorized'",
        "keys",
        "key_missing",
        "-1",
        "events",
    ),
    Corruption(
        "A key is made up",
        "INSERT INTO metering_idempotencykey SELECT customer_id, 'made up', payload_hash, gen_random_uuid(),"
        " recorded_at FROM metering_idempotencykey LIMIT 1",
        "keys",
        "key_without_event",
        "-1",
        "events",
    ),
    Corruption(
        "A property that is priced is changed on an event",
        "UPDATE metering_usageevent SET properties = jsonb_set(properties, '{tokens}', '22')"
        f" WHERE id = {OF_THE_CALL}",
        "rating",
        "charge_amount",
        "-1",
    ),
    Corruption(
        "A property that nothing reads is changed on an event",
        "UPDATE metering_usageevent SET properties = properties || '{\"note\": 1}'"
        f" WHERE id = {OF_THE_CALL}",
        "keys",
        "event_changed",
        "-1",
        "events",
    ),
    Corruption(
        "The cost of an event is changed",
        "UPDATE metering_usageevent SET cost = cost + 1 WHERE cost IS NOT NULL",
        "margins",
        "bucket_cost",
        "-1",
    ),
    Corruption(
        "An event is deleted",
        f"DELETE FROM metering_usageevent WHERE id = {OF_THE_CALL}",
        "charges",
        "charge_without_event",
        "11",
    ),
    Corruption(
        "An event is deleted with its key, its charge and its transfers",
        f"WITH gone AS (SELECT customer_id, billing_entity_id, seq, id FROM metering_usageevent WHERE id ="
        f" {OF_THE_CALL}), a AS (DELETE FROM billing_charge c USING gone g WHERE c.id = g.id),"
        " b AS (DELETE FROM billing_transfer t USING gone g WHERE t.billing_entity_id = g.billing_entity_id"
        " AND t.seq = g.seq), c AS (DELETE FROM metering_idempotencykey k USING gone g"
        " WHERE k.event_id = g.id) DELETE FROM metering_usageevent e USING gone g WHERE e.id = g.id",
        "numbers",
        "number_missing",
        "-1",
        "numbers",
    ),
    Corruption(
        "A charge is booked twice",
        "INSERT INTO billing_charge SELECT customer_id, gen_random_uuid(), recorded_at, seq,"
        " billing_entity_id, workspace_id, event_id, event_recorded_at, occurred_at, amount, currency, lines,"
        f" funding, settled_after, held_after, available_after FROM billing_charge WHERE id = {OF_THE_CALL}",
        "charges",
        "charged_twice",
        "11",
    ),
    Corruption(
        "A charge is moved to a number that was never allotted",
        f"UPDATE billing_charge SET seq = seq + 1000 WHERE id = {OF_THE_CALL}",
        "numbers",
        "number_beyond",
        "1",
        "numbers",
    ),
    Corruption(
        "A charge's amount is changed",
        f"UPDATE billing_charge SET amount = amount + 2 WHERE id = {OF_THE_CALL}",
        "charges",
        "charge_not_its_lines",
        "2",
    ),
    Corruption(
        "A charge's amount and line are changed alike",
        "UPDATE billing_charge SET amount = amount + 2,"
        " lines = jsonb_set(lines, '{0,amount}', to_jsonb(((lines->0->>'amount')::numeric + 2)::text))"
        f" WHERE id = {OF_THE_CALL}",
        "rating",
        "charge_amount",
        "2",
    ),
    Corruption(
        "A line's position is changed",
        f"UPDATE billing_charge SET lines = jsonb_set(lines, '{{0,position,to}}', '\"99\"')"
        f" WHERE id = {OF_THE_CALL}",
        "rating",
        "charge_lines",
        "0",
    ),
    Corruption(
        "What paid for a charge is changed",
        "UPDATE billing_charge SET funding = jsonb_set(funding, '{0,amount}', '\"1\"')"
        f" WHERE id = {OF_THE_CALL}",
        "charges",
        "charge_not_its_funding",
        "9",
    ),
    Corruption(
        "A reversal is forgotten",
        "DELETE FROM billing_reversedcharge",
        "charges",
        "reversed_but_charged",
        "4",
    ),
    Corruption(
        "A counter is off by one",
        "UPDATE pricing_counter SET quantity = quantity + 1 WHERE quantity = 20",
        "counters",
        "counter_state",
        "1",
        "quantity",
    ),
    Corruption(
        "A counter's amount is changed",
        "UPDATE pricing_counter SET amount = amount + 3 WHERE quantity = 20",
        "counters",
        "counter_amount",
        "3",
    ),
    Corruption(
        "A counter is deleted",
        "DELETE FROM pricing_counter WHERE quantity = 20",
        "counters",
        "counter_amount",
        "-10",
    ),
    Corruption(
        "A usage bucket's quantity is changed",
        "UPDATE metering_usagebucket SET quantity = quantity + 5 WHERE ctid = (SELECT b.ctid FROM"
        " metering_usagebucket b JOIN metering_meter m ON m.id = b.meter_id AND m.key = 'tokens' LIMIT 1)",
        "buckets",
        "bucket_quantity",
        "5",
        "quantity",
    ),
    Corruption(
        "A usage bucket counts an event too many",
        "UPDATE metering_usagebucket SET events = events + 1 WHERE ctid = (SELECT min(ctid) FROM"
        " metering_usagebucket)",
        "buckets",
        "bucket_events",
        "1",
        "events",
    ),
    Corruption(
        "A usage bucket is deleted",
        "DELETE FROM metering_usagebucket b USING metering_meter m WHERE m.id = b.meter_id"
        " AND m.key = 'peak' AND quantity = 3",
        "buckets",
        "bucket_quantity",
        "-3",
        "quantity",
    ),
    Corruption(
        "Unique values are forgotten",
        "DELETE FROM metering_uniquevalue WHERE ctid = (SELECT min(ctid) FROM metering_uniquevalue)",
        "buckets",
        "bucket_uniques",
        "1",
        "quantity",
    ),
    Corruption(
        "A margin bucket's revenue is changed",
        "UPDATE billing_marginbucket SET revenue = revenue + 7 WHERE event = 'call'"
        " AND hour = '2026-03-05T10:00Z'",
        "margins",
        "bucket_revenue",
        "7",
    ),
    Corruption(
        "The revenue of base fees is changed in the margin buckets",
        "UPDATE billing_marginbucket SET revenue = revenue - 1 WHERE ctid = (SELECT min(ctid) FROM"
        " billing_marginbucket WHERE event = 'base_fee')",
        "margins",
        "bucket_revenue",
        "-1",
    ),
    Corruption(
        "A cost that became known later is changed",
        "UPDATE billing_costentry SET cost = cost + 1",
        "margins",
        "cost_change",
        "-1",
    ),
    Corruption(
        "Two events are made to bear one number",
        "UPDATE metering_usageevent SET seq = (SELECT max(seq) FROM metering_usageevent)"
        f" WHERE id = {OF_THE_CALL}",
        "numbers",
        "number_twice",
        "1",
        "numbers",
    ),
    Corruption(
        "A line is made to name a component that is not there",
        "UPDATE billing_charge SET lines = jsonb_set(lines, '{0,component_id}', '999999')"
        f" WHERE id = {OF_THE_CALL}",
        "rating",
        "charge_unprovable",
        "0",
    ),
    Corruption(
        "A component's total is changed beside its groups",
        "UPDATE pricing_counter SET amount = amount + 2 WHERE ctid = (SELECT min(ctid) FROM pricing_counter"
        " WHERE dimensions = '*')",
        "counters",
        "counter_total",
        "2",
    ),
    Corruption(
        "A margin bucket counts an event too few",
        "UPDATE billing_marginbucket SET events = events - 1 WHERE event = 'call'"
        " AND hour = '2026-03-05T10:00Z'",
        "margins",
        "bucket_events",
        "-1",
        "events",
    ),
    Corruption(
        "The margin of a period with a floor is changed",
        "UPDATE billing_periodmargin SET revenue = revenue + 4 WHERE ctid = (SELECT min(ctid) FROM"
        " billing_periodmargin)",
        "margins",
        "period_margin",
        "4",
    ),
    Corruption(
        "A coupon's credit, its transfers and its place in the margins are taken away",
        "WITH gone AS (DELETE FROM billing_couponcredit RETURNING customer_id, billing_entity_id, seq),"
        " moved AS (DELETE FROM billing_transfer t USING gone g WHERE t.billing_entity_id ="
        " g.billing_entity_id AND t.seq = g.seq RETURNING t.*)"
        " UPDATE billing_marginbucket SET revenue = 0 WHERE event = 'coupon'",
        "rating",
        "not_its_history",
        "-15",
    ),
)
