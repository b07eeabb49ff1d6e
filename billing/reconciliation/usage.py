"""Every event and charge of a batch of payers, read once: for payload hashes, usage buckets and ratings.

SQL cannot tell what a meter takes from an event or what a charge comes to, so these rows go through Python, a
few thousand in memory at a time. Payers that are looked at from their first number get all three proofs, the
others the hashes of their new events.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

import msgspec
import psycopg
from django.db import connection

from billing.recompute import Priced
from billing.reconciliation.finding import EVENTS, FINDINGS_MAX, Finding
from billing.reconciliation.folding import PayerFold
from billing.reconciliation.hearing import HeardEvent, Hearing, by_event
from billing.reconciliation.histories import History, StoredCharge
from billing.reconciliation.payloads import PayloadProof, StoredPayload, names_of
from billing.store_reconciliation import Params, fetch, fetch_models, stream
from core.ids import hot_id
from core.numbers import ONE, ZERO
from metering.catalogue import compile_meter
from metering.models import Meter
from pricing.models import Component
from pricing.pricelist import compile_component
from pricing.rating.state import State

EVENTS_READ: Final = """
    SELECT e.customer_id, e.billing_entity_id, e.id, e.seq, e.name, e.occurred_at, e.properties::text,
           e.costs::text, e."user", e.trace, e.given, e.workspace_id, e.api_key_id, e.recorded_at,
           e.unmatched, k.payload_hash, v.id IS NULL, r.recorded_at, span.after = 0
    FROM span
    JOIN metering_usageevent e ON e.customer_id = span.customer_id AND e.billing_entity_id = span.payer_id
        AND e.seq > span.after
    LEFT JOIN metering_idempotencykey k
        ON k.customer_id = e.customer_id AND k.key = e.idempotency_key AND k.event_id = e.id
    LEFT JOIN billing_reversal v ON v.customer_id = e.customer_id AND v.event_id = e.id AND v.cause = 'event'
    LEFT JOIN billing_rerating r ON e.unmatched AND r.customer_id = e.customer_id AND r.event_id = e.id"""
CHARGES_READ: Final = """
    SELECT c.customer_id, c.billing_entity_id, c.id, c.seq, c.amount, c.lines::text, e.properties::text,
           e.cost, e.name, c.occurred_at, v.id IS NULL AND x.charge_id IS NULL
    FROM span
    JOIN billing_charge c ON c.customer_id = span.customer_id AND c.billing_entity_id = span.payer_id
    LEFT JOIN metering_usageevent e
        ON e.customer_id = c.customer_id AND e.id = c.event_id AND e.recorded_at = c.event_recorded_at
    LEFT JOIN billing_reversal v ON v.customer_id = c.customer_id AND v.charge_id = c.id
    LEFT JOIN billing_reversedcharge x ON x.customer_id = c.customer_id AND x.charge_id = c.id
    WHERE span.after = 0
    ORDER BY c.customer_id, c.billing_entity_id, c.seq"""
BUCKETS_READ: Final = """
    SELECT b.customer_id, b.billing_entity_id, b.meter_id, b.hour, b.workspace_id, b.dimensions, b.quantity,
           b.events
    FROM span
    JOIN metering_usagebucket b ON b.customer_id = span.customer_id AND b.billing_entity_id = span.payer_id
    WHERE span.after = 0"""
# A value that was counted while nothing priced it stands twice once it is priced: such meters are left out.
UNIQUES: Final = """
    SELECT b.customer_id, b.billing_entity_id, b.meter_id, u.kept, b.quantity
    FROM (SELECT b.customer_id, b.billing_entity_id, b.meter_id, sum(b.quantity) AS quantity
          FROM span JOIN metering_usagebucket b ON b.customer_id = span.customer_id
              AND b.billing_entity_id = span.payer_id
          JOIN metering_meter m ON m.id = b.meter_id AND m.aggregation = 'unique'
          WHERE span.after = 0 GROUP BY 1, 2, 3) AS b
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE occurrences > 0 AND dimensions LIKE '[%%') AS kept,
               count(*) FILTER (WHERE dimensions LIKE 'unpriced:%%') AS unpriced
        FROM metering_uniquevalue
        WHERE customer_id = b.customer_id AND billing_entity_id = b.billing_entity_id
            AND meter_id = b.meter_id) AS u
    WHERE u.unpriced = 0 AND u.kept <> b.quantity"""
NAMES: Final = """
    SELECT 'workspace', 'ws', id, external_id FROM accounts_workspace
    WHERE customer_id = ANY(%(customers)s::bigint[])
    UNION SELECT 'workspace', 'ws', id, external_id FROM accounts_workspaceevent
    WHERE customer_id = ANY(%(customers)s::bigint[])
    UNION SELECT 'billing_entity', 'be', id, external_id FROM accounts_billingentity
    WHERE customer_id = ANY(%(customers)s::bigint[])
    UNION SELECT 'billing_entity', 'be', id, external_id FROM accounts_billingentityevent
    WHERE customer_id = ANY(%(customers)s::bigint[])
    UNION SELECT 'api_key', 'key', id, fingerprint FROM accounts_apikey
    WHERE customer_id = ANY(%(customers)s::bigint[])"""
_decode: Final = msgspec.json.Decoder(float_hook=Decimal).decode
_decode_plain: Final = msgspec.json.decode


@dataclass(slots=True)
class UsageProof:
    """What reading events and charges came to. `folds`: by (customer, payer), what the charges fold to."""

    changed: list[Finding] = field(default_factory=list)
    buckets: list[Finding] = field(default_factory=list)
    rated: list[Finding] = field(default_factory=list)
    folds: dict[tuple[int, int], PayerFold] = field(default_factory=dict)
    buckets_read: int = 0
    charges_read: int = 0

    def states(
        self, counters: Mapping[tuple[int, int, int, int], Mapping[str, State]], currency: Mapping[int, str]
    ) -> Iterator[Finding]:
        """Where counters, by (customer, payer, segment, component), are not what the charges fold to."""
        by_payer: dict[tuple[int, int], dict[tuple[int, int, str], State]] = defaultdict(dict)
        for (customer_id, payer_id, segment, component), groups in counters.items():
            for dimensions, state in groups.items():
                by_payer[customer_id, payer_id][segment, component, dimensions] = state
        for payer, fold in self.folds.items():
            yield from fold.compare(by_payer.get(payer, {}), currency[payer[1]])


def prove_usage(raw: psycopg.Connection[Any], spans: Sequence[Any], params: Params) -> UsageProof:
    """Read everything once. `spans`: customer, payer, after, upto, currency, time zone."""
    proof = UsageProof()
    by_payer = {span.payer_id: span for span in spans}
    _read_events(raw, by_payer, params, proof)
    _read_charges(raw, by_payer, params, proof)
    return proof


def _read_events(
    raw: psycopg.Connection[Any], spans: Mapping[int, Any], params: Params, proof: UsageProof
) -> None:
    meters = fetch_models(raw, Meter, "true")
    frozen = {meter.pk: meter.frozen_at for meter in meters if meter.frozen_at is not None}
    hearing = Hearing(by_event(compile_meter(meter) for meter in meters), frozen)
    payloads = PayloadProof(_names(raw, params))
    found: dict[int, int] = defaultdict(int)
    for row in stream(raw, EVENTS_READ, params):
        customer_id, payer_id, uuid, seq, name, occurred_at, properties_text, costs_text = row[:8]
        user, trace, given, workspace_id, api_key_id, recorded_at, unmatched, kept = row[8:16]
        counts, rerated_at, is_whole = row[16:]
        properties = _decode(properties_text)
        if kept is not None:
            costs = None if costs_text is None else _decode(costs_text)
            callers = (workspace_id, api_key_id, payer_id)
            event = StoredPayload(name, occurred_at, properties, costs, user, trace, given, callers)
            if not payloads.is_unchanged(event, bytes(kept)) and found[payer_id] < FINDINGS_MAX:
                found[payer_id] += 1
                proof.changed.append(_changed(customer_id, payer_id, uuid, seq))
        if is_whole and counts:
            heard_at = rerated_at if unmatched else recorded_at
            heard = HeardEvent(
                customer_id, payer_id, workspace_id or 0, name, occurred_at, heard_at, properties
            )
            hearing.take(heard, spans[payer_id].time_zone)
    kept_buckets = fetch(raw, BUCKETS_READ, params)
    proof.buckets_read = len(kept_buckets)
    proof.buckets = [*hearing.compare(kept_buckets), *_uniques(raw, params)]


def _changed(customer_id: int, payer_id: int, uuid: Any, seq: int) -> Finding:
    event = hot_id("evt", customer_id, uuid)
    return Finding(
        "event_changed",
        f"event {event}",
        EVENTS,
        ONE,
        ZERO,
        customer_id,
        payer_id,
        cause="The event was changed after it was recorded: its key kept the hash of what was sent.",
        detail={"event": event, "number": seq},
    )


def _uniques(raw: psycopg.Connection[Any], params: Params) -> Iterator[Finding]:
    for customer_id, payer_id, meter_id, kept, quantity in fetch(raw, UNIQUES, params):
        yield Finding(
            "bucket_uniques",
            f"meter {meter_id}",
            "quantity",
            Decimal(kept),
            quantity,
            customer_id,
            payer_id,
            detail={"meter_id": meter_id},
        )


def _names(raw: psycopg.Connection[Any], params: Params) -> dict[str, dict[int, list[str]]]:
    others: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    for field_name, prefix, pk, other in fetch(raw, NAMES, params):
        others[field_name, prefix, pk].append(other)
    names: dict[str, dict[int, list[str]]] = {"workspace": {}, "billing_entity": {}, "api_key": {}}
    for (field_name, prefix, pk), given in others.items():
        names[field_name][pk] = names_of(prefix, pk, *given)
    return names


def _read_charges(
    raw: psycopg.Connection[Any], spans: Mapping[int, Any], params: Params, proof: UsageProof
) -> None:
    components = _Components(raw)
    whole = [payer_id for payer_id, span in spans.items() if not span.after]
    # Django reads the histories: none of another installation's.
    history = History(whole) if whole and raw is connection.connection else None
    fold: PayerFold | None = None
    for row in stream(raw, CHARGES_READ, params):
        payer = (row[0], row[1])
        if fold is None or fold.payer != payer:
            _finish(fold, proof)
            fold = PayerFold(payer, spans[row[1]].currency, components, history=history)
            proof.folds[payer] = fold
        proof.charges_read += 1
        fold.take(
            StoredCharge(
                uuid=row[2],
                seq=row[3],
                amount=row[4],
                lines=_decode_plain(row[5]),
                properties=None if row[6] is None else _decode(row[6]),
                cost=row[7],
                name=row[8] or "",
                occurred_at=row[9],
                stands=row[10],
            )
        )
    _finish(fold, proof)
    if history is not None:
        doubtful = {payer[1]: fold for payer, fold in proof.folds.items() if fold.is_broken or fold.tainted}
        proof.rated += history.findings(doubtful)


def _finish(fold: PayerFold | None, proof: UsageProof) -> None:
    if fold is not None:
        fold.finish()
        proof.rated += fold.findings


class _Components(dict[int, Priced]):
    """Components by row, read when they are first met; published ones never change."""

    def __init__(self, raw: psycopg.Connection[Any]) -> None:
        super().__init__()
        self._raw = raw

    def __missing__(self, pk: int) -> Priced:
        rows = fetch_models(self._raw, Component, "id = %(pk)s", pk=pk)
        row = rows[0]
        (row.meter,) = fetch_models(self._raw, Meter, "id = %(pk)s", pk=row.meter_id)
        self[pk] = Priced(compile_component(row), compile_meter(row.meter).definition)
        return self[pk]
