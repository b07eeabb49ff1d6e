"""What a scrape asks the database: jobs, who is alive, the outbox, what waits for people, drift."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import inf

import pytest

from billing.models import Discrepancy, LinkDrift, OutboxMessage, ReconciliationRun
from billing.vitals import Vitals
from config.schedule import SCHEDULE
from core import clock
from core.jobs import catalogue, find_job, run_job
from core.jobs.beating import note_alive
from core.jobs.parking import park
from core.jobs.running import Trigger
from core.models import Heartbeat, ParkedMessage

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CLOSE = "billing.tasks.close_periods"


class Machine:
    now = NOW


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(clock, "system_now", lambda: machine.now)
    return machine


def figures() -> dict[tuple[str, ...], float]:
    """(name, labels' values) -> figure."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in Vitals().collect()
        for sample in family.samples
    }


def test_a_new_installation_has_figures_and_nobody_alive() -> None:
    found = figures()
    assert found["tollgate_silence_seconds", "beat"] == found["tollgate_silence_seconds", "worker"] == inf
    assert found["tollgate_workers",] == found["tollgate_outbox_messages",] == 0
    assert found["tollgate_outbox_age_seconds",] == found["tollgate_parked_messages",] == 0
    assert {key[1] for key in found if key[0] == "tollgate_job_lag_seconds"} == {due.task for due in SCHEDULE}
    assert not [key for key in found if key[0] in ("tollgate_drift", "tollgate_job_duration_seconds")]


def test_jobs_tell_how_late_they_are_and_what_fails(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_job(find_job(CLOSE), Trigger.SCHEDULE)

    def fail() -> None:
        machine.now += timedelta(seconds=2)
        raise RuntimeError

    with monkeypatch.context() as patch:
        patch.setattr(catalogue, "import_string", lambda path: fail)
        run_job(find_job(CLOSE), Trigger.SCHEDULE)
    machine.now = NOW + timedelta(seconds=90)
    found = figures()
    assert found["tollgate_job_lag_seconds", CLOSE] == 30
    assert found["tollgate_job_failures_in_a_row", CLOSE] == 1
    assert found["tollgate_job_duration_seconds", CLOSE] == 2
    assert found["tollgate_job_last_success_timestamp_seconds", CLOSE] == NOW.timestamp()


def test_silence_grows_until_somebody_is_heard(machine: Machine) -> None:
    note_alive(Heartbeat.Kind.BEAT, NOW)
    note_alive(Heartbeat.Kind.WORKER, NOW)
    machine.now += timedelta(seconds=50)
    found = figures()
    assert (found["tollgate_silence_seconds", "beat"], found["tollgate_workers",]) == (50, 1)
    machine.now += timedelta(seconds=50)
    assert figures()["tollgate_workers",] == 0


def test_the_oldest_message_of_the_outbox_is_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: NOW)
    for minutes, delivered in ((30, NOW), (20, None), (10, None)):
        OutboxMessage.objects.create(
            kind="k",
            key=str(minutes),
            customer_id=1,
            payload={},
            created_at=NOW - timedelta(minutes=minutes),
            delivered_at=delivered,
        )
    found = figures()
    assert (found["tollgate_outbox_messages",], found["tollgate_outbox_age_seconds",]) == (2, 1200)


def test_what_waits_for_a_person_is_counted() -> None:
    for number in range(2):
        park(ParkedMessage.Reason.RAISED, "e", message_id=str(number))
    assert figures()["tollgate_parked_messages",] == 2


def test_drift_is_that_of_each_links_last_day() -> None:
    run = ReconciliationRun.objects.create(
        status=ReconciliationRun.Status.DONE, created_at=NOW, finished_at=NOW - timedelta(hours=1)
    )
    for link, day, unit, amount in (
        ("balances", 1, "USD", "5"),
        ("balances", 1, "EUR", "7"),
        ("balances", 2, "USD", "1.50"),
        ("grants", 1, "", "0"),
    ):
        LinkDrift.objects.create(
            link=link, day=date(2026, 3, day), unit=unit, amount=Decimal(amount), discrepancies=1, run=run
        )
    Discrepancy.objects.create(
        link="balances",
        type="wrong",
        subject="s",
        amount=Decimal("1.50"),
        unit="USD",
        first_found_at=NOW,
        last_found_at=NOW,
        first_run=run,
        last_run=run,
    )
    found = figures()
    drift = {key[1:]: figure for key, figure in found.items() if key[0] == "tollgate_drift"}
    assert drift == {("balances", "USD"): 1.5, ("grants", ""): 0.0}
    assert found["tollgate_discrepancies", "balances"] == 1
    assert found["tollgate_reconciliation_timestamp_seconds",] == (NOW - timedelta(hours=1)).timestamp()
