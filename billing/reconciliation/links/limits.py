"""Charges and holds <-> limits' counters: a limit counts what was spent in its windows, and what is held.

A limit counts every charge that comes after it, and of those before it what its window had at the time. So
all its windows together are a sum of charges, whatever each window's bounds were; of a rolling limit, whose
slots are forgotten, what lies in its present window. An open hold counts in the limits of the organizations
that it is in by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from billing.limits.windows import day_at, month_at, rolling_at
from billing.reconciliation.link import Checked, Finding, Link, Scope
from billing.reconciliation.moves import PLACES, is_settled, read_places
from billing.store_limits import LONG_AGO
from billing.store_moved_holds import read_misplaced
from core.ids import hot_id, public_id
from core.numbers import CONTEXT, ZERO
from metering.payload import ASKED

NAME: Final = "limits"
COUNTER: Final = "limit_counter"
HOLD: Final = "limit_hold"
MISPLACED: Final = "hold_misplaced"
LIMITS: Final = """
    SELECT l.id, l.customer_id, l.level, l.billing_entity_id, l.currency, l."window", l.hours, l.time_zone,
           l.created_at, l.organization_id
    FROM billing_spendlimit l
    WHERE l.customer_id = ANY(%(whole)s::bigint[]) AND l.ended_at IS NULL"""
COUNTED: Final = """
    SELECT split_part(c.counter, ':', 2)::bigint, c.starts_at, c.used,
           (SELECT max(p.ends_at) FROM pricing_billingperiod p
            WHERE p.customer_id = c.customer_id AND p.starts_at = c.starts_at)
    FROM billing_limitcounter c
    WHERE c.customer_id = ANY(%(whole)s::bigint[]) AND c.counter LIKE 'lim:%%'
    ORDER BY c.id"""
# Nobody has spent what the operator bears of a capped capture. In a rolling window a call counts when it
# asked, or when what was reported had happened.
SPENT: Final = """
    WITH RECURSIVE bound AS MATERIALIZED (
        SELECT l.*, t.since, t.first, t.last
        FROM unnest(%(ids)s::bigint[], %(since)s::timestamptz[], %(first)s::timestamptz[],
                    %(last)s::timestamptz[]) AS t(id, since, first, last)
        JOIN billing_spendlimit l ON l.id = t.id),
    tree AS (
        SELECT bound.id AS limit_id, bound.organization_id FROM bound WHERE bound.level = 'organization'
        UNION
        SELECT tree.limit_id, o.id
        FROM tree JOIN accounts_organization o ON o.parent_id = tree.organization_id),
    spent AS (
        SELECT l.id, l.created_at, l.since, l.first, l.last, c.recorded_at, slot.at AS slot_at,
               CASE WHEN l."window" = 'rolling' THEN slot.at ELSE c.occurred_at END AS counted_at,
               (SELECT coalesce(sum((line->>'amount')::numeric
                                    - coalesce((line->>'absorbed')::numeric, 0)), 0)
                FROM jsonb_array_elements(c.lines) AS line
                WHERE m.id IS NULL OR line->>'meter' = m.key) AS amount
        FROM bound l
        LEFT JOIN metering_meter m ON m.id = l.meter_id
        JOIN billing_charge c ON c.customer_id = l.customer_id AND c.currency = l.currency
        JOIN metering_usageevent e
            ON e.customer_id = c.customer_id AND e.id = c.event_id AND e.recorded_at = c.event_recorded_at
        CROSS JOIN LATERAL (
            SELECT CASE WHEN e.given & %(asked)s <> 0 THEN e.recorded_at
                        ELSE LEAST(c.occurred_at, e.recorded_at) END AS at) AS slot
        WHERE CASE l.level
                WHEN 'api_key' THEN e.api_key_id = l.api_key_id
                WHEN 'workspace' THEN c.workspace_id = l.workspace_id
                WHEN 'organization' THEN CASE
                    WHEN c.workspace_id IS NULL THEN EXISTS (
                        SELECT FROM tree
                        JOIN accounts_billingentity b ON b.organization_id = tree.organization_id
                        WHERE tree.limit_id = l.id AND b.id = c.billing_entity_id)
                    ELSE EXISTS (
                        SELECT FROM tree JOIN accounts_workspace w ON w.organization_id = tree.organization_id
                        WHERE tree.limit_id = l.id AND w.id = c.workspace_id) END
                ELSE c.billing_entity_id = l.billing_entity_id END)
    SELECT id, coalesce(sum(amount) FILTER (WHERE since IS NULL OR slot_at >= since), 0)
    FROM spent
    WHERE recorded_at >= created_at OR counted_at >= first AND counted_at < last
    GROUP BY 1"""
# As the trigger of authorizations keeps it: of a limit no more than is still held, of a quota what was asked.
HOLDS: Final = """
    SELECT a.customer_id, a.billing_entity_id, a.id, a.status, one->>0, due.amount, h.amount
    FROM span
    JOIN billing_authorization a ON a.customer_id = span.customer_id AND a.billing_entity_id = span.payer_id
        AND a.counted_in <> '[]'
    CROSS JOIN LATERAL jsonb_array_elements(a.counted_in) AS one
    CROSS JOIN LATERAL (
        SELECT CASE WHEN a.status <> 'authorized' THEN NULL
                    WHEN starts_with(one->>0, 'quota:') THEN (one->>1)::numeric
                    ELSE LEAST((one->>1)::numeric, a.held) END AS amount) AS due
    LEFT JOIN billing_limithold h ON h.customer_id = a.customer_id AND h.authorization_id = a.id
        AND h.counter = one->>0
    WHERE h.amount IS DISTINCT FROM due.amount OR h.expires_at <> a.expires_at AND due.amount IS NOT NULL"""


@dataclass(frozen=True, slots=True)
class _Row:
    starts_at: datetime
    used: Decimal
    period_ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Limit:
    pk: int
    customer_id: int
    level: str
    payer_id: int | None
    currency: str
    window: str
    hours: int | None
    time_zone: str
    created_at: datetime
    organization_id: int | None


def check(scope: Scope) -> Checked:
    """What open holds reserve; and the counters of customers that are looked at as a whole."""
    checked = Checked(findings=[*_holds(scope), *_misplaced(scope)])
    whole = sorted(scope.whole)
    limits = _provable(scope, [_Limit(*row) for row in scope.rows(LIMITS, whole=whole)])
    if not limits:
        return checked
    counted: dict[int, list[_Row]] = {}
    for pk, *fields in scope.rows(COUNTED, whole=whole):
        counted.setdefault(pk, []).append(_Row(*fields))
        checked.rows += 1
    spent = _spent(scope, limits, counted)
    for limit in limits:
        since = _since(limit, scope.now) or LONG_AGO
        used = ZERO
        for row in counted.get(limit.pk, ()):
            used = CONTEXT.add(used, row.used) if row.starts_at >= since else used
        expected = spent.get(limit.pk, ZERO)
        if used != expected:
            checked.findings.append(_finding(limit, expected, used))
    return checked


def _provable(scope: Scope, limits: Sequence[_Limit]) -> list[_Limit]:
    """Those of which it is known what was below them: of an organization, where nothing crossed its edge."""
    customer_ids = {limit.customer_id for limit in limits if limit.organization_id is not None}
    places = read_places(scope.rows(PLACES, ids=sorted(customer_ids))) if customer_ids else {}
    return [
        limit
        for limit in limits
        if limit.organization_id is None or is_settled(limit.organization_id, places)
    ]


def _spent(scope: Scope, limits: Iterable[_Limit], counted: Mapping[int, list[_Row]]) -> dict[int, Decimal]:
    """By limit, what was spent in its windows."""
    columns: dict[str, list[Any]] = {"ids": [], "since": [], "first": [], "last": []}
    for limit in limits:
        first, last = _first_window(limit, counted.get(limit.pk, ()))
        columns["ids"].append(limit.pk)
        columns["since"].append(_since(limit, scope.now))
        columns["first"].append(first)
        columns["last"].append(last)
    return dict(scope.rows(SPENT, asked=ASKED, **columns))


def _since(limit: _Limit, now: datetime) -> datetime | None:
    """From where on a rolling limit's slots still count; None of the others, which keep all windows."""
    return rolling_at(now, limit.hours).starts_at if limit.hours else None


def _first_window(limit: _Limit, rows: Iterable[_Row]) -> tuple[datetime, datetime]:
    """The window in which the limit was set: of charges before it, only these count.

    A period's row is the first that the limit got. Calls of others, or of before, may add periods that began
    earlier or later.
    """
    zone = ZoneInfo(limit.time_zone)
    if limit.hours:
        return rolling_at(limit.created_at, limit.hours)
    if limit.window == "day":
        return day_at(limit.created_at, zone)
    for row in rows if limit.level != "organization" else ():
        ends_at = row.period_ends_at or month_at(row.starts_at, zone).ends_at
        if row.starts_at <= limit.created_at < ends_at:
            return row.starts_at, ends_at
    return month_at(limit.created_at, zone)


def _finding(limit: _Limit, expected: Decimal, actual: Decimal) -> Finding:
    name = public_id("lim", limit.pk)
    return Finding(
        COUNTER,
        f"limit {name}",
        limit.currency,
        expected,
        actual,
        limit.customer_id,
        limit.payer_id,
        cause="A counter of the limit was changed, or a charge that counts in it.",
        detail={"limit": name, "level": limit.level, "window": limit.window},
    )


def _holds(scope: Scope) -> Iterator[Finding]:
    for customer_id, payer_id, uuid, status, counter, due, reserved in scope.rows(HOLDS):
        hold = hot_id("auth", customer_id, uuid)
        yield Finding(
            HOLD,
            f"authorization {hold} in {counter}",
            scope.currency(payer_id) if counter.startswith("lim:") else "quantity",
            due or ZERO,
            reserved,
            customer_id,
            payer_id,
            cause="A limit still reserves for a hold that is settled."
            if due is None
            else "A limit reserves for a hold what the hold does not, or until another instant.",
            detail={"authorization": hold, "counter": counter, "status": status},
        )


def _misplaced(scope: Scope) -> Iterator[Finding]:
    rows = read_misplaced(scope.raw, scope.customer_ids, scope.now)
    for customer_id, payer_id, uuid, counter, held, counted, _ in rows:
        hold = hot_id("auth", customer_id, uuid)
        yield Finding(
            MISPLACED,
            f"authorization {hold} in {counter}",
            scope.currency(payer_id),
            held or ZERO,
            counted or ZERO,
            customer_id,
            payer_id,
            cause="A hold counts in the limit of an organization that it is not in."
            if held is None
            else "A hold does not count in the limit of an organization that it is in.",
            detail={"authorization": hold, "counter": counter},
        )


LINK: Final = Link(
    NAME,
    "charges and holds",
    "limits' counters",
    {
        COUNTER: "A limit has counted something else than was spent in its windows.",
        HOLD: "A limit reserves something else than an open hold.",
        MISPLACED: "An open hold counts in the limits of other organizations than it is in.",
    },
    check,
)
