"""How the installation is, from the database, for whoever scrapes `/metrics`: a few small statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from django.db.models import Count, Min
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from billing.models import Discrepancy, LinkDrift, OutboxMessage, ReconciliationRun
from core import clock
from core.jobs import job_states, pulse
from core.models import ParkedMessage
from metering.models import QuarantinedEvent

Figure = tuple[tuple[str, ...], float]
NEVER: Final = float("inf")


class Vitals(Collector):
    """Asks the database anew at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """All figures."""
        yield from job_figures()
        yield from pulse_figures()
        yield from outbox_figures(clock.now())
        yield from waiting_figures()
        yield from drift_figures()


def job_figures() -> Iterator[Metric]:
    """Each job: how late it is, how often it failed in a row, how long it took, when it last went well."""
    states = job_states()
    yield gauge(
        "tollgate_job_lag_seconds",
        "For how long a job should have run and did not.",
        [((state.job.name,), state.lag_seconds) for state in states],
        "job",
    )
    yield gauge(
        "tollgate_job_failures_in_a_row",
        "How often a job failed since it last went well.",
        [((state.job.name,), state.failures) for state in states],
        "job",
    )
    yield gauge(
        "tollgate_job_duration_seconds",
        "How long a job's last finished run took.",
        [
            ((state.job.name,), state.last.seconds)
            for state in states
            if state.last is not None and state.last.seconds is not None
        ],
        "job",
    )
    yield gauge(
        "tollgate_job_last_success_timestamp_seconds",
        "When a job last went well.",
        [((state.job.name,), state.good_at.timestamp()) for state in states if state.good_at is not None],
        "job",
    )


def pulse_figures() -> Iterator[Metric]:
    """Who is alive; a process that was never heard of is silent for ever."""
    alive = pulse()
    silences = [
        ((name,), NEVER if seen is None else max(0.0, (alive.now - seen).total_seconds()))
        for name, seen in (("beat", alive.beat_at), ("worker", alive.worker_at))
    ]
    text = "Since beat, or the last worker, was heard of."
    yield gauge("tollgate_silence_seconds", text, silences, "process")
    yield gauge("tollgate_workers", "Workers that are alive.", [((), alive.workers)])


def outbox_figures(now: datetime) -> Iterator[Metric]:
    """What waits to be delivered, and since when."""
    found = OutboxMessage.objects.filter(delivered_at=None).aggregate(
        number=Count("pk"), oldest=Min("created_at")
    )
    age = 0.0 if found["oldest"] is None else max(0.0, (now - found["oldest"]).total_seconds())
    yield gauge("tollgate_outbox_messages", "Messages that wait in the outbox.", [((), found["number"])])
    yield gauge("tollgate_outbox_age_seconds", "Age of the oldest message in the outbox.", [((), age)])


def waiting_figures() -> Iterator[Metric]:
    """What waits for a person."""
    parked = ParkedMessage.objects.filter(status=ParkedMessage.Status.PARKED).count()
    waiting = QuarantinedEvent.objects.filter(status=QuarantinedEvent.Status.WAITING).count()
    yield gauge("tollgate_parked_messages", "Messages that nobody could work off.", [((), parked)])
    yield gauge("tollgate_quarantined_events", "Events that wait in quarantine.", [((), waiting)])


def drift_figures() -> Iterator[Metric]:
    """What the last reconciliation of each link left: drift by unit, discrepancies that stand."""
    latest = LinkDrift.objects.order_by("link", "unit", "-day").distinct("link", "unit")
    rows = list(latest)
    days = {link: max(row.day for row in rows if row.link == link) for link in {row.link for row in rows}}
    now = [row for row in rows if row.day == days[row.link]]
    yield gauge(
        "tollgate_drift",
        "Drift of a link as the last run of its last day left it, by currency or what is counted.",
        [((row.link, row.unit), float(row.amount)) for row in now],
        "link",
        "unit",
    )
    standing = Discrepancy.objects.exclude(status=Discrepancy.Status.RESOLVED).values("link")
    yield gauge(
        "tollgate_discrepancies",
        "Discrepancies that stand, by link.",
        [((row["link"],), row["number"]) for row in standing.annotate(number=Count("pk")).order_by("link")],
        "link",
    )
    done = ReconciliationRun.objects.filter(status=ReconciliationRun.Status.DONE, only_customer=None)
    last = done.order_by("-pk").values_list("finished_at", flat=True).first()
    text = "When the last reconciliation of everything ended."
    yield gauge(
        "tollgate_reconciliation_timestamp_seconds", text, [] if last is None else [((), last.timestamp())]
    )


def gauge(name: str, text: str, figures: Sequence[Figure], *labels: str) -> Metric:
    """A family of gauges."""
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, figure in figures:
        family.add_metric(values, figure)
    return family
