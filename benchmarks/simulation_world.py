"""The world that is simulated, and both sides of the measurement, in the installation of the environment.

`python -m benchmarks.simulation_world CUSTOMERS` fills an empty installation by a few statements: each
customer has a bucket of tokens and a payment a day, for three months. Then it runs a simulation
and the engine alone, in turn, and prints how many seconds each took, and how much processor time. The engine
rates every event by itself, as the path of a call does; a simulation may take sums where a price allows it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any, Final
from unittest import mock

import django
import psutil
from dateutil.relativedelta import relativedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from django.db import connection  # noqa: E402

from accounts.models import BillingEntity, Customer  # noqa: E402
from billing.simulations import request_simulation, run_simulation  # noqa: E402
from billing.simulations.running import candidates_of  # noqa: E402
from core import clock  # noqa: E402
from core.partitions import ensure_partitions  # noqa: E402
from metering.models import Meter  # noqa: E402
from pricing.cycles import Period  # noqa: E402
from pricing.models import PlanVersion, Simulation, Subscription  # noqa: E402
from pricing.plans import apply_plan, publish_version  # noqa: E402
from pricing.rating import Component, Usage, rate_events  # noqa: E402
from pricing.simulation import Cohort, simulate  # noqa: E402
from pricing.simulation.tallies import Tally  # noqa: E402

ROUNDS: Final = 3
END: Final = clock.now().astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
START: Final = END - relativedelta(months=3)
LONG_AGO: Final = START - timedelta(days=60)
PAYMENTS: Final = 90
BUCKETS: Final = """
    INSERT INTO metering_usagebucket
        (customer_id, billing_entity_id, meter_id, hour, workspace_id, dimensions, quantity, events)
    SELECT b.customer_id, b.id, %s, day, 0, '[]', 100 + (b.id * 37) %% 900, 5
    FROM accounts_billingentity b, generate_series(%s::timestamptz, %s::timestamptz, '1 day') AS day"""
MARGINS: Final = """
    INSERT INTO billing_marginbucket (customer_id, billing_entity_id, hour, workspace_id, event, events,
        costed, unmatched, unpriced, revenue, cost)
    SELECT b.customer_id, b.id, day, 0, 'completion', 5, 5, 0, 0, 0.01, 0.004
    FROM accounts_billingentity b, generate_series(%s::timestamptz, %s::timestamptz, '1 day') AS day"""
EVENTS: Final = """
    INSERT INTO metering_usageevent (customer_id, id, recorded_at, seq, billing_entity_id, idempotency_key,
        name, occurred_at, properties, source, given, unmatched, unpriced)
    SELECT b.customer_id, gen_random_uuid(), at, n, b.id, n::text, 'payment', at,
        jsonb_build_object('amount', 5 + (b.id * 13 + n * 7) %% 200, 'country', 'de'), 'api', 0, false, false
    FROM accounts_billingentity b, generate_series(1, %s) AS n,
        LATERAL (SELECT %s::timestamptz + n * interval '23 hours' AS at) AS instant"""


def main(customers: int) -> None:
    """Fill, then measure both sides in turn."""
    version, draft = _fill(customers)
    job = _job(version, draft)
    ratings = _ratings(job)
    found: dict[str, Any] = {"ratings": sum(len(usages) for _, usages in ratings)}
    for _ in range(ROUNDS):
        simulation = _job(version, draft)
        begun, used_before = _times(), _database_time()
        run_simulation(simulation.pk)
        _note(found, "simulation", begun)
        found.setdefault("database_processor", []).append(_database_time() - used_before)
        simulation.refresh_from_db()
        if (simulation.status, simulation.payers_done) != ("done", customers):
            raise RuntimeError(f"the simulation is {simulation.status}: {simulation.problem}")
        begun = _times()
        for component, usages in ratings:
            component.close(rate_events(component, usages).values())
        _note(found, "engine", begun)
    print(json.dumps(found))


def _times() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _database_time() -> float:
    """How much processor time the server's process of this connection has used."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        used = psutil.Process(cursor.fetchone()[0]).cpu_times()
    return used.user + used.system


def _note(found: dict[str, Any], side: str, begun: tuple[float, float]) -> None:
    """Keep how long a side took, and how much processor time this process (not the database) needed."""
    wall, processor = (now - then for now, then in zip(_times(), begun, strict=True))
    found.setdefault(side, []).append(wall)
    found.setdefault(f"{side}_processor", []).append(processor)


def _job(version: PlanVersion, draft: PlanVersion) -> Simulation:
    return request_simulation([version, draft], starts_at=START, ends_at=END)


def _ratings(job: Simulation) -> list[tuple[Component, list[Usage]]]:
    """What the simulation rates: each component's usage of each span, in order."""
    recorded: dict[int, tuple[Tally, list[Usage]]] = {}
    advance, add_usages = Tally._advance, Tally.add_usages

    def noting_one(tally: Tally, usage: Usage) -> None:
        recorded.setdefault(id(tally), (tally, []))[1].append(usage)
        advance(tally, usage)

    def noting_many(tally: Tally, usages: list[Usage]) -> None:
        recorded.setdefault(id(tally), (tally, []))[1].extend(usages)
        add_usages(tally, usages)

    with (
        mock.patch.object(Tally, "adds_up", False),
        mock.patch.object(Tally, "_advance", noting_one),
        mock.patch.object(Tally, "add_usages", noting_many),
    ):
        for _ in simulate(candidates_of(job), Cohort(), Period(START, END)):
            pass
    return [(tally.component.rating, usages) for tally, usages in recorded.values()]


def _fill(customers: int) -> tuple[PlanVersion, PlanVersion]:
    clock.use(lambda: LONG_AGO)
    meters = [
        {"key": "tokens", "event": "completion", "property_path": "tokens"},
        {"key": "payments", "event": "payment", "property_path": "amount"},
    ]
    for meter in meters:
        Meter.objects.create(name="", aggregation="sum", created_at=LONG_AGO, **meter)
    version = publish_version(apply_plan(_plan("49", "0.0004", "0.029")))
    draft = apply_plan(_plan("39", "0.0005", "0.031"))
    clock.use(None)
    rows = Customer.objects.bulk_create(
        Customer(name=f"Customer {number}", external_id=f"customer-{number}", created_at=LONG_AGO)
        for number in range(customers)
    )
    payers = BillingEntity.objects.bulk_create(
        BillingEntity(customer=row, name=row.name, currency="USD", created_at=LONG_AGO) for row in rows
    )
    Subscription.objects.bulk_create(_subscriptions(payers, version))
    tokens = Meter.objects.get(key="tokens").pk
    last = END - timedelta(days=1)
    ensure_partitions(START, END)
    with connection.cursor() as cursor:
        cursor.execute(BUCKETS, [tokens, START, last])
        cursor.execute(MARGINS, [START, last])
        cursor.execute(EVENTS, [PAYMENTS, START])
        cursor.execute("ANALYZE")
    return version, draft


def _plan(fee: str, unit_price: str, rate: str) -> dict[str, Any]:
    tiers = [{"up_to": "10000", "unit_price": unit_price}, {"up_to": None, "unit_price": "0.0002"}]
    return {
        "plan": "pro",
        "currency": "USD",
        "base_fees": [{"key": "platform", "amount": fee, "prorate": True}],
        "components": [
            {"key": "tok", "meter": "tokens", "model": "graduated", "tiers": tiers, "minimum": "1"},
            {"key": "pay", "meter": "payments", "model": "percentage", "rate": rate, "fixed_fee": "0.3"},
        ],
    }


def _subscriptions(payers: list[BillingEntity], version: PlanVersion) -> Iterator[Subscription]:
    for payer in payers:
        yield Subscription(
            customer_id=payer.customer_id,
            billing_entity=payer,
            version=version,
            starts_at=LONG_AGO,
            anchor_at=LONG_AGO,
            created_at=LONG_AGO,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]))
