"""Runs: asked for, carried out in steps, resumable from wherever one died.

A step takes a batch of customers: it locks the run's row, opens a snapshot, checks every link, and keeps what
it found and how far it has come in the same transaction. A worker that dies loses its step only; another one
that comes to the same run passes on while the row is locked, so a batch is never checked twice at once.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from time import perf_counter, sleep
from typing import Final

from django.conf import settings
from django.db import IntegrityError, OperationalError, transaction

from accounts.models import Customer
from billing.models import ReconciliationRun
from billing.reconciliation.batches import next_batch, proven_sums
from billing.reconciliation.checking import check_links, check_outside
from billing.reconciliation.keeping import Kept, keep_checks, keep_drift, keep_findings, keep_proofs
from billing.reconciliation.link import Scope
from billing.reconciliation.pacing import Pace
from billing.store_reconciliation import snapshot
from core import clock
from core.errors import Conflict
from core.sql import driver

Kind, Status = ReconciliationRun.Kind, ReconciliationRun.Status
UNFINISHED: Final = (Status.QUEUED, Status.RUNNING)
ATTEMPTS: Final = 5
FULL_EVERY: Final = timedelta(days=7)
"""A nightly run looks at everything when the last one that did is so long ago."""
logger = logging.getLogger(__name__)


def request_run(
    kind: str = Kind.INCREMENTAL,
    *,
    customer: Customer | None = None,
    created_by: str = "",
    night: datetime | None = None,
) -> ReconciliationRun:
    """Queue a run. Raises Conflict `reconciliation_running` that names the one that is not finished yet."""
    try:
        with transaction.atomic():
            return ReconciliationRun.objects.create(
                kind=kind,
                only_customer=customer,
                night=None if night is None else night.date(),
                created_by=created_by,
                created_at=clock.now(),
            )
    except IntegrityError:
        running = ReconciliationRun.objects.filter(status__in=UNFINISHED).first()
        name = "Another run" if running is None else running.public_id
        raise Conflict("reconciliation_running", f"{name} is not finished yet.") from None


def cancel_run(run: ReconciliationRun) -> ReconciliationRun:
    """Call a run off; what it has found so far stays. Raises Conflict when it has ended already."""
    with transaction.atomic():
        row = ReconciliationRun.objects.select_for_update().get(pk=run.pk)
        if row.status == Status.CANCELED:
            return row
        if row.status not in UNFINISHED:
            raise Conflict("reconciliation_ended", f"{row.public_id} is {row.status} already.")
        row.status, row.finished_at = Status.CANCELED, clock.now()
        row.save(update_fields=["status", "finished_at"])
    return row


def start_nightly(now: datetime) -> ReconciliationRun | None:
    """Queue the night's run once its hour (UTC) has come; None when it was, or another one is running."""
    if now.hour < settings.RECONCILIATION_HOUR:
        return None
    runs = ReconciliationRun.objects.all()
    if runs.filter(night=now.date()).exists() or runs.filter(status__in=UNFINISHED).exists():
        return None
    is_recent = runs.filter(
        kind=Kind.FULL, status=Status.DONE, only_customer=None, finished_at__gt=now - FULL_EVERY
    ).exists()
    try:
        return request_run(Kind.INCREMENTAL if is_recent else Kind.FULL, night=now, created_by="nightly")
    except Conflict:
        return None


def run_unfinished() -> int:
    """Carry on with the run that is queued or was left unfinished, if there is one; gives their number."""
    count = 0
    for pk in ReconciliationRun.objects.filter(status__in=UNFINISHED).values_list("pk", flat=True):
        for _ in run_steps(pk):
            pass
        count += 1
    return count


def run_steps(pk: int) -> Iterator[ReconciliationRun]:
    """One step after the other, each committed when it is handed out; none where another worker is at it.

    While others are at work it rests between them (`pacing`), and holds nothing then. What is wrong with the
    run itself makes it `failed`; that the database is away is raised.
    """
    try:
        pace = Pace()
        while True:
            begun = perf_counter()
            run = _step_again(pk)
            worked = perf_counter() - begun
            if run is None:
                return
            yield run
            if run.status not in UNFINISHED:
                return
            sleep(pace.rest(worked))
    except OperationalError:
        raise
    except Exception:
        logger.exception("reconciliation %s failed", pk)
        ReconciliationRun.objects.filter(pk=pk, status__in=UNFINISHED).update(
            status=Status.FAILED,
            finished_at=clock.now(),
            problem="Something went wrong on our side; the log says what.",
        )


def _step_again(pk: int) -> ReconciliationRun | None:
    """A step; done again when a row that it keeps was changed by somebody since its snapshot."""
    for attempt in range(ATTEMPTS):
        try:
            return _step(pk)
        except OperationalError as error:
            is_conflict = getattr(error.__cause__, "sqlstate", None) == "40001"
            if not is_conflict or attempt == ATTEMPTS - 1:
                raise
    return None


def _step(pk: int) -> ReconciliationRun | None:
    now = clock.now()
    with snapshot():
        rows = ReconciliationRun.objects.filter(pk=pk, status__in=UNFINISHED)
        run = rows.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
        if run is None:
            return None
        if run.status == Status.QUEUED:
            _begin(run, now)
        if not _check_batch(run, now):
            _end(run, now)
        run.progressed_at = now
        run.save()
    return run


def _begin(run: ReconciliationRun, now: datetime) -> None:
    run.status, run.started_at, run.as_of = Status.RUNNING, now, now
    customers = Customer.objects.all()
    if run.only_customer_id is not None:
        customers = customers.filter(pk=run.only_customer_id)
    run.customers_total = customers.count()


def _check_batch(run: ReconciliationRun, now: datetime) -> bool:
    """The next customers; False when there are none left."""
    raw = driver()
    customer_ids, spans = next_batch(raw, run)
    if not customer_ids:
        return False
    scope = Scope(raw, spans, now, proven_sums(raw, spans))
    checked = check_links(scope)
    _note(run, keep_findings(run, checked, now, customer_ids=customer_ids))
    keep_checks(run, checked)
    keep_proofs(raw, run, spans, checked, now)
    run.customers_done += len(customer_ids)
    run.last_customer_id = customer_ids[-1]
    run.events_checked += scope.counted.events
    run.rows_checked += sum(one.rows for one in checked.values())
    return True


def _end(run: ReconciliationRun, now: datetime) -> None:
    if run.only_customer_id is None:
        checked = check_outside(Scope(driver(), (), now))
        _note(run, keep_findings(run, checked, now, customer_ids=None))
        keep_checks(run, checked)
        run.rows_checked += sum(one.rows for one in checked.values())
    keep_drift(run, now)
    run.status, run.finished_at = Status.DONE, now


def _note(run: ReconciliationRun, kept: Kept) -> None:
    run.found += len(kept.new) + len(kept.again)
    run.new += len(kept.new)
    run.resolved += kept.resolved
