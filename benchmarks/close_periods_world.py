"""The payers whose periods are closed, and the closes, in the installation of the environment.

`python -m benchmarks.close_periods_world fill PAYERS` makes subscriptions of three months in an empty
installation, by a few statements: counters, 30 readings a month, a wallet. `close MONTH` (0 to 2) closes one
of the months of all of them, and prints how many seconds that took, and how much processor time.
"""

from __future__ import annotations

import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import django
import psutil

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402

from accounts.models import BillingEntity, Customer  # noqa: E402
from billing.closing import close_periods  # noqa: E402
from billing.models import ClosingLine  # noqa: E402
from core import clock  # noqa: E402
from core.partitions import ensure_partitions  # noqa: E402
from metering.models import Meter  # noqa: E402
from pricing.models import BillingPeriod, Component, PlanVersion, Segment, Subscription  # noqa: E402
from pricing.plans import apply_plan, publish_version  # noqa: E402

MONTHS: Final = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3, 4)]
LONG_AGO: Final = MONTHS[0] - timedelta(days=60)
READINGS: Final = 30
WALLETS: Final = """
    INSERT INTO billing_ledgeraccount (customer_id, billing_entity_id, kind, balance, held, seq)
    SELECT customer_id, id, 'wallet', 0, 0, 0 FROM accounts_billingentity"""
COUNTERS: Final = """
    INSERT INTO pricing_counter
        (customer_id, segment_id, component_id, dimensions, quantity, transactions, volume, amount)
    SELECT customer_id, id, %s, '[]', 100, 10, 0, 1 + id %% 7 FROM pricing_segment"""
EVENTS: Final = """
    INSERT INTO metering_usageevent (customer_id, id, recorded_at, seq, billing_entity_id, idempotency_key,
        name, occurred_at, properties, source, given, unmatched, unpriced)
    SELECT b.customer_id, gen_random_uuid(), at, n, b.id, n::text, 'reading', at,
        jsonb_build_object('level', 5 + (b.id * 13 + n * 7) %% 200, 'site', 'a'), 'api', 0, false, false
    FROM accounts_billingentity b, generate_series(1, %s) AS n,
        LATERAL (SELECT %s::timestamptz + n * interval '23 hours' AS at) AS instant"""


def fill(payers: int) -> None:
    """Make the payers, their subscriptions, and three months that wait for their close."""
    clock.use(lambda: LONG_AGO)
    Meter.objects.create(
        name="",
        key="tokens",
        event="completion",
        aggregation="sum",
        property_path="tokens",
        created_at=LONG_AGO,
    )
    Meter.objects.create(
        name="", key="level", event="reading", aggregation="avg", property_path="level", created_at=LONG_AGO
    )
    version = publish_version(apply_plan(_plan()))
    rows = Customer.objects.bulk_create(
        Customer(name=f"Customer {number}", external_id=f"customer-{number}", created_at=LONG_AGO)
        for number in range(payers)
    )
    entities = BillingEntity.objects.bulk_create(
        BillingEntity(
            customer=row, name=row.name, currency="USD", settlement="invoice_only", created_at=LONG_AGO
        )
        for row in rows
    )
    ensure_partitions(MONTHS[0], MONTHS[-1])
    _subscribe(entities, version)
    tokens = Component.objects.get(version=version, key="tok").pk
    with connection.cursor() as cursor:
        cursor.execute(WALLETS)
        cursor.execute(COUNTERS, [tokens])
        cursor.execute(EVENTS, [READINGS * (len(MONTHS) - 1), MONTHS[0]])
        cursor.execute("ANALYZE")


def close(month: int) -> None:
    """Close one month of everybody's, as the due task does it, and say what it took."""
    now = MONTHS[month + 1] + timedelta(days=1)
    clock.use(lambda: now)
    due = BillingPeriod.objects.filter(ends_at=MONTHS[month + 1]).count()
    database = _database()
    begun = time.perf_counter(), time.process_time(), _used(database)
    closed = close_periods(now)
    ended = time.perf_counter(), time.process_time(), _used(database)
    lines = ClosingLine.objects.filter(recorded_at=now).count()
    if (closed, lines) != (due, 3 * due):
        raise RuntimeError(f"{closed} of {due} periods closed, with {lines} lines")
    seconds, processor, used = (after - before for after, before in zip(ended, begun, strict=True))
    print(json.dumps({"seconds": seconds, "processor": processor, "database": used}))


def _plan() -> dict[str, Any]:
    tiers = [{"up_to": "10000", "unit_price": "0.0004"}, {"up_to": None, "unit_price": "0.0002"}]
    return {
        "plan": "pro",
        "currency": "USD",
        "minimum_spend": "1000",
        "components": [
            {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": tiers, "minimum": "10"},
            {"key": "level", "meter": "level", "model": "per_unit", "unit_price": "0.1"},
        ],
    }


def _subscribe(entities: list[BillingEntity], version: PlanVersion) -> None:
    subscriptions = Subscription.objects.bulk_create(
        Subscription(
            customer_id=entity.customer_id,
            billing_entity=entity,
            version=version,
            starts_at=MONTHS[0],
            anchor_at=MONTHS[0],
            created_at=LONG_AGO,
        )
        for entity in entities
    )
    periods = BillingPeriod.objects.bulk_create(
        BillingPeriod(
            customer_id=row.customer_id,
            subscription=row,
            starts_at=start,
            ends_at=end,
            status=BillingPeriod.Status.GRACE,
            fees_booked_at=start,
        )
        for row in subscriptions
        for start, end in pairwise(MONTHS)
    )
    Segment.objects.bulk_create(
        Segment(
            customer_id=period.customer_id,
            subscription_id=period.subscription_id,
            version=version,
            period=period,
            starts_at=period.starts_at,
            ends_at=period.ends_at,
        )
        for period in periods
    )


def _database() -> psutil.Process:
    """The server's process of this connection."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return psutil.Process(cursor.fetchone()[0])


def _used(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


if __name__ == "__main__":
    {"fill": fill, "close": close}[sys.argv[1]](int(sys.argv[2]))
