"""Events and charges <-> margin buckets: revenue and cost by the hour, and what is summed from them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from billing.reconciliation.link import EVENTS, Checked, Finding, Link, Scope
from core.numbers import CONTEXT, ZERO

NAME: Final = "margins"
REVENUE: Final = "bucket_revenue"
COST: Final = "bucket_cost"
COUNT: Final = "bucket_events"
WHOLE: Final = "buckets_not_revenue"
PERIOD: Final = "period_margin"
CHANGE: Final = "cost_change"
# The payer's local hour, as `billing.hours` has it: zones are off by parts of an hour, whatever the season.
_HOUR: Final = "date_trunc('hour', {at} + shift.ed, 'UTC') - shift.ed"
_SHIFT: Final = """CROSS JOIN LATERAL (SELECT make_interval(secs => mod(mod(
        extract(epoch FROM ({at} AT TIME ZONE b.time_zone) - ({at} AT TIME ZONE 'UTC')), 3600) + 3600, 3600))
        AS ed) AS shift"""


def _by_hour(text: str) -> str:
    """`{hour of x}` and `{shift of x}` of a column, written out."""
    for column in ("e.occurred_at", "c.occurred_at"):
        for word, form in (("hour", _HOUR), ("shift", _SHIFT)):
            text = text.replace(f"{{{word} of {column}}}", form.replace("{at}", column))
    return text


BUCKETS: Final = _by_hour("""
    WITH full_span AS MATERIALIZED (
        SELECT span.customer_id, span.payer_id, b.time_zone FROM span
        JOIN accounts_billingentity b ON b.id = span.payer_id WHERE span.after = 0),
    known AS (
        SELECT e.customer_id, e.billing_entity_id, {hour of e.occurred_at} AS hour,
               coalesce(e.workspace_id, 0) AS workspace_id, e.name AS event,
               CASE WHEN k.id IS NULL THEN e.cost ELSE k.cost END AS cost,
               v.id IS NULL AS counts
        FROM full_span b
        JOIN metering_usageevent e ON e.customer_id = b.customer_id AND e.billing_entity_id = b.payer_id
        LEFT JOIN billing_reversal v
            ON v.customer_id = e.customer_id AND v.event_id = e.id AND v.cause = 'event'
        LEFT JOIN LATERAL (SELECT id, cost FROM billing_costentry
                           WHERE customer_id = e.customer_id AND event_id = e.id
                           ORDER BY id DESC LIMIT 1) k ON true
        {shift of e.occurred_at}),
    charged AS (
        SELECT c.customer_id, c.billing_entity_id, {hour of c.occurred_at} AS hour,
               coalesce(c.workspace_id, 0) AS workspace_id, e.name AS event, c.amount
        FROM full_span b
        JOIN billing_charge c ON c.customer_id = b.customer_id AND c.billing_entity_id = b.payer_id
        JOIN metering_usageevent e
            ON e.customer_id = c.customer_id AND e.id = c.event_id AND e.recorded_at = c.event_recorded_at
        {shift of c.occurred_at}),
    expected AS (
        SELECT customer_id, billing_entity_id, hour, workspace_id, event, sum(events) AS events,
               sum(costed) AS costed, sum(revenue) AS revenue, sum(cost) AS cost
        FROM (SELECT customer_id, billing_entity_id, hour, workspace_id, event,
                     count(*) FILTER (WHERE counts) AS events, count(cost) FILTER (WHERE counts) AS costed,
                     0::numeric AS revenue, coalesce(sum(cost) FILTER (WHERE counts), 0) AS cost
              FROM known GROUP BY 1, 2, 3, 4, 5
              UNION ALL
              SELECT customer_id, billing_entity_id, hour, workspace_id, event, 0, 0, sum(amount), 0
              FROM charged GROUP BY 1, 2, 3, 4, 5) AS both_sides
        GROUP BY 1, 2, 3, 4, 5),
    kept AS (
        SELECT m.* FROM full_span b
        JOIN billing_marginbucket m ON m.customer_id = b.customer_id AND m.billing_entity_id = b.payer_id
            AND m.event NOT IN ('base_fee', 'period_close', 'coupon'))
    SELECT customer_id, billing_entity_id, hour, workspace_id, event, coalesce(x.events, 0),
           coalesce(k.events, 0), coalesce(x.costed, 0), coalesce(k.costed, 0), coalesce(x.revenue, 0),
           coalesce(k.revenue, 0), coalesce(x.cost, 0), coalesce(k.cost, 0)
    FROM expected x FULL JOIN kept k USING (customer_id, billing_entity_id, hour, workspace_id, event)
    WHERE (coalesce(x.events, 0), coalesce(x.costed, 0), coalesce(x.revenue, 0), coalesce(x.cost, 0))
        IS DISTINCT FROM
          (coalesce(k.events, 0), coalesce(k.costed, 0), coalesce(k.revenue, 0), coalesce(k.cost, 0))
    ORDER BY 1, 2, 3, 4, 5""")
# What is no usage stands under a name of its own.
OTHERS: Final = """
    SELECT customer_id, payer_id, event, coalesce(x.amount, 0), coalesce(m.amount, 0)
    FROM (SELECT span.customer_id, span.payer_id, 'base_fee' AS event, sum(f.amount) AS amount
          FROM span JOIN billing_bookedfee f
              ON f.customer_id = span.customer_id AND f.billing_entity_id = span.payer_id GROUP BY 1, 2
          UNION ALL SELECT span.customer_id, span.payer_id, 'period_close', sum(l.amount)
          FROM span JOIN billing_closingline l
              ON l.customer_id = span.customer_id AND l.billing_entity_id = span.payer_id GROUP BY 1, 2
          UNION ALL SELECT span.customer_id, span.payer_id, 'coupon', -sum(d.amount)
          FROM span JOIN billing_couponcredit d
              ON d.customer_id = span.customer_id AND d.billing_entity_id = span.payer_id GROUP BY 1, 2) AS x
    FULL JOIN (SELECT span.customer_id, span.payer_id, b.event, sum(b.revenue) AS amount
               FROM span JOIN billing_marginbucket b ON b.customer_id = span.customer_id
                   AND b.billing_entity_id = span.payer_id
               WHERE b.event IN ('base_fee', 'period_close', 'coupon') GROUP BY 1, 2, 3) AS m
        USING (customer_id, payer_id, event)
    WHERE coalesce(x.amount, 0) <> coalesce(m.amount, 0)"""
EARNED: Final = """
    SELECT span.customer_id, span.payer_id, coalesce(a.balance, 0), coalesce(m.revenue, 0), m.buckets
    FROM span
    LEFT JOIN billing_ledgeraccount a ON a.customer_id = span.customer_id
        AND a.billing_entity_id = span.payer_id AND a.kind = 'revenue'
    CROSS JOIN LATERAL (SELECT sum(revenue) AS revenue, count(*) AS buckets FROM billing_marginbucket
                        WHERE customer_id = span.customer_id AND billing_entity_id = span.payer_id) AS m"""
PERIODS: Final = """
    SELECT p.customer_id, p.billing_entity_id, p.starts_at, p.events, m.events, p.revenue, m.revenue, p.cost,
           m.cost, p.costed, m.costed
    FROM span
    JOIN billing_periodmargin p ON p.customer_id = span.customer_id AND p.billing_entity_id = span.payer_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(events), 0) AS events, coalesce(sum(costed), 0) AS costed,
               coalesce(sum(revenue), 0) AS revenue, coalesce(sum(cost), 0) AS cost
        FROM billing_marginbucket b
        WHERE b.customer_id = p.customer_id AND b.billing_entity_id = p.billing_entity_id
            AND b.hour >= p.starts_at AND b.hour < p.kept_until) m
    WHERE (p.events, p.costed, p.revenue, p.cost) IS DISTINCT FROM (m.events, m.costed, m.revenue, m.cost)"""
CHANGES: Final = """
    WITH changed AS (
        SELECT k.*, lag(k.cost) OVER w AS last_cost, row_number() OVER w AS number
        FROM span JOIN billing_costentry k
            ON k.customer_id = span.customer_id AND k.billing_entity_id = span.payer_id
        WINDOW w AS (PARTITION BY k.customer_id, k.event_id ORDER BY k.id))
    SELECT k.customer_id, k.billing_entity_id, k.id, k.change,
           coalesce(k.cost, 0) - coalesce(CASE WHEN k.number = 1 THEN e.cost ELSE k.last_cost END, 0)
    FROM changed k
    JOIN metering_usageevent e ON e.customer_id = k.customer_id AND e.id = k.event_id
        AND e.recorded_at = k.event_recorded_at
    WHERE k.change <> coalesce(k.cost, 0)
        - coalesce(CASE WHEN k.number = 1 THEN e.cost ELSE k.last_cost END, 0)"""


def check(scope: Scope) -> Checked:
    """The sums of all payers; the single buckets of those that are looked at from their first number."""
    checked = Checked()
    detailed = set()
    for row in scope.rows(BUCKETS):
        checked.findings += _bucket(scope, row)
        detailed.add(row[1])
    for customer_id, payer_id, event, expected, actual in scope.rows(OTHERS):
        finding = _finding(scope, REVENUE, f"buckets {event}", (customer_id, payer_id), expected, actual)
        checked.findings.append(finding)
        detailed.add(payer_id)
    for customer_id, payer_id, earned, bucketed, buckets in scope.rows(EARNED):
        checked.rows += buckets
        if earned != bucketed and payer_id not in detailed:
            finding = _finding(scope, WHOLE, "buckets", (customer_id, payer_id), earned, bucketed)
            checked.findings.append(finding)
    checked.findings += [*_periods(scope), *_changes(scope)]
    return checked


def _bucket(scope: Scope, row: tuple[Any, ...]) -> Iterator[Finding]:
    customer_id, payer_id, hour, workspace_id, event, *sums = row
    subject = f"bucket {event} {hour:%Y-%m-%dT%H:%MZ} workspace {workspace_id}"
    place = (customer_id, payer_id)
    detail = {"hour": hour.isoformat(), "event": event, "workspace_id": workspace_id}
    events, costed, revenue, cost = (tuple(sums[at : at + 2]) for at in (0, 2, 4, 6))
    if events[0] != events[1]:
        yield Finding(COUNT, subject, EVENTS, Decimal(events[0]), Decimal(events[1]), *place, detail=detail)
    elif costed[0] != costed[1]:
        counted = (Decimal(costed[0]), Decimal(costed[1]))
        yield Finding(COUNT, f"{subject} costed", EVENTS, *counted, *place, detail=detail)
    if revenue[0] != revenue[1]:
        yield _finding(scope, REVENUE, subject, place, revenue[0], revenue[1], detail)
    if cost[0] != cost[1]:
        yield _finding(scope, COST, subject, place, cost[0], cost[1], detail)


def _periods(scope: Scope) -> Iterator[Finding]:
    for customer_id, payer_id, starts_at, *sums in scope.rows(PERIODS):
        events, revenue, cost, costed = (sums[at : at + 2] for at in (0, 2, 4, 6))
        kept = CONTEXT.subtract(revenue[0], cost[0])
        detail = {"events": [str(one) for one in events], "costed": [str(one) for one in costed]}
        yield _finding(
            scope,
            PERIOD,
            f"period from {starts_at.isoformat()}",
            (customer_id, payer_id),
            CONTEXT.subtract(revenue[1], cost[1]),
            kept,
            detail,
        )


def _changes(scope: Scope) -> Iterator[Finding]:
    for customer_id, payer_id, pk, actual, expected in scope.rows(CHANGES):
        yield _finding(scope, CHANGE, f"cost entry {pk}", (customer_id, payer_id), expected, actual)


def _finding(
    scope: Scope,
    kind: str,
    subject: str,
    place: tuple[int, int],
    expected: Decimal | None = None,
    actual: Decimal | None = None,
    detail: dict[str, Any] | None = None,
) -> Finding:
    unit = scope.currency(place[1])
    return Finding(kind, subject, unit, expected or ZERO, actual or ZERO, *place, detail=detail or {})


LINK: Final = Link(
    NAME,
    "events and charges",
    "margin buckets",
    {
        REVENUE: "A bucket's revenue is not what was charged in its hour.",
        COST: "A bucket's cost is not what is known of its events' costs.",
        COUNT: "A bucket counts other events than occurred in its hour.",
        WHOLE: "All buckets together are not what the payer's revenue account has.",
        PERIOD: "What is kept of a period's margin is not the sum of its buckets so far.",
        CHANGE: "A cost that became known later moved something else than it changed.",
    },
    check,
)
