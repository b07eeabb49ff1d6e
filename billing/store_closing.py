"""SQL of closes: what settles only then, and what late usage cost the operator, not the payer."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec
import psycopg

from billing.ledger import PayerId
from core.sql import execute, number_array, text_array

# Few payers have a leakage account: of the others no charge is read.
ABSORBED: Final = """
    SELECT part.component, part.segment, sum(part.amount)
    FROM unnest(%s::bigint[], %s::bigint[]) AS p(customer_id, billing_entity_id)
    JOIN billing_ledgeraccount a USING (customer_id, billing_entity_id), LATERAL (
        SELECT f->>'component' AS component, (f->>'segment')::bigint AS segment,
            (f->>'amount')::numeric AS amount
        FROM billing_charge c, jsonb_array_elements(c.funding) AS f
        WHERE c.customer_id = a.customer_id AND c.billing_entity_id = a.billing_entity_id
            AND c.recorded_at >= %s AND f->>'account' = 'leakage'
        OFFSET 0) AS part
    WHERE a.kind = 'leakage' AND part.segment = ANY(%s::bigint[])
    GROUP BY 1, 2"""
# Of one payer's events of one name, in one scan, what each group comes to. The values of dimensions are told
# apart as JSON (the caller knows which are the same); the latest value is found by instant, then by number.
# Whatever is no plain number comes as it is. OFFSET 0: each property is taken out once.
FOLD_EVENTS: Final = """
    SELECT t.n, s.dimensions::text, s.numbers, s.lowest, s.total, s.weighted, s.latest, s.others::text
    FROM (
        SELECT n, customer_id, payer_id, name, path, ends_at, recorded_from,
            string_to_array(nullif(dimensions, ''), chr(31)) AS dimensions,
            nullif(starts_at, '')::timestamptz AS starts_at
        FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::timestamptz[], %s::timestamptz[]) WITH ORDINALITY
            AS u(customer_id, payer_id, name, path, dimensions, starts_at, ends_at, recorded_from, n)
        OFFSET 0) AS t,
    LATERAL (
        SELECT v.dimensions, count(v.number) AS numbers, min(v.number) AS lowest, sum(v.number) AS total,
            sum(v.number * v.ticks) AS weighted, max(ARRAY[v.ticks, v.seq, v.number])
                FILTER (WHERE v.number IS NOT NULL) AS latest,
            json_agg(json_build_array(v.ticks, v.seq, v.value))
                FILTER (WHERE v.number IS NULL AND v.value IS NOT NULL) AS others
        FROM (
            SELECT dimensions, ticks, seq, value,
                CASE WHEN abs(stands_for) < 1e20 AND scale(stands_for) <= 12 THEN stands_for END AS number
            FROM (
                SELECT dimensions, ticks, seq, value, CASE
                    WHEN jsonb_typeof(value) = 'number' THEN value::numeric
                    WHEN value #>> '{}' ~ '^-?[0-9]{1,20}([.][0-9]{1,12})?$' THEN (value #>> '{}')::numeric
                    END AS stands_for
                FROM (
                    SELECT e.seq, (extract(epoch FROM e.occurred_at) * 1000000)::bigint AS ticks,
                        e.properties -> t.path AS value,
                        CASE WHEN t.dimensions IS NOT NULL THEN (
                            SELECT jsonb_agg(e.properties -> d.name ORDER BY d.place)
                            FROM unnest(t.dimensions) WITH ORDINALITY AS d(name, place)) END AS dimensions
                    FROM metering_usageevent e
                    WHERE e.customer_id = t.customer_id AND e.billing_entity_id = t.payer_id
                        AND e.name = t.name AND e.occurred_at < t.ends_at
                        AND (t.starts_at IS NULL OR e.occurred_at >= t.starts_at)
                        AND e.recorded_at >= t.recorded_from AND NOT EXISTS (
                            SELECT FROM billing_reversal r
                            WHERE r.customer_id = e.customer_id AND r.event_id = e.id AND r.cause = 'event')
                    OFFSET 0) AS found
                OFFSET 0) AS read
            OFFSET 0) AS v
        GROUP BY v.dimensions) AS s"""
_SEPARATOR: Final = "\x1f"
_DECODE: Final = msgspec.json.Decoder(float_hook=Decimal).decode


class FoldQuestion(NamedTuple):
    """A payer's events of a name in `[starts_at, ends_at)` (None: all before), the property at `path`, by the
    values of `dimensions`. Nothing of them was recorded before `recorded_from`."""

    customer_id: int
    payer_id: int
    name: str
    path: str
    dimensions: tuple[str, ...]
    starts_at: datetime | None
    ends_at: datetime
    recorded_from: datetime


class FoldRow(NamedTuple):
    """What the plain numbers of one group come to; `number`: that of its question, from 0.

    `weighted` is the sum of value x microseconds since 1970, `latest` when the last value occurred, its `seq`
    and itself. `others` are (microseconds, seq, JSON value) of what is no plain number.
    """

    number: int
    dimensions: tuple[Any, ...]
    numbers: int
    lowest: Decimal | None
    total: Decimal | None
    weighted: Decimal | None
    latest: list[Decimal] | None
    others: list[tuple[int, int, Any]]


def fold_events(raw: psycopg.Connection[Any], asked: Sequence[FoldQuestion]) -> Iterator[FoldRow]:
    """The groups of each question's events, exact; what was reversed counts for nothing. One statement."""
    if not asked:
        return
    customers, payers, names, paths, dimensions, starts, ends, recorded = zip(*asked, strict=True)
    params = (
        number_array(customers),
        number_array(payers),
        text_array(names),
        text_array(paths),
        text_array(_SEPARATOR.join(each) for each in dimensions),
        text_array("" if at is None else at.isoformat() for at in starts),
        text_array(at.isoformat() for at in ends),
        text_array(at.isoformat() for at in recorded),
    )
    for number, values, numbers, lowest, total, weighted, latest, others in execute(raw, FOLD_EVENTS, params):
        group = () if values is None else tuple(_DECODE(values))
        read = [] if others is None else _DECODE(others)
        yield FoldRow(number - 1, group, numbers, lowest, total, weighted, latest, read)


def absorbed_by_charges(
    raw: psycopg.Connection[Any], payers: Collection[PayerId], segment_ids: Iterable[int], since: datetime
) -> dict[tuple[str, int], Decimal]:
    """What leakage bore of charges in these segments of payers, by component key and segment.

    Nothing of them was recorded before `since`.
    """
    customers, entities = (number_array(payer[at] for payer in payers) for at in (0, 1))
    rows = execute(raw, ABSORBED, (customers, entities, since, number_array(segment_ids)))
    return {(key, segment_id): amount for key, segment_id, amount in rows}
