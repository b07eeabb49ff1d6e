"""The transaction: plan, lock, read, decide one after the other, write, commit.

A batch that fails as a whole (a key that reached two payers at once) is done again; if it still fails,
its items are run alone, so that one bad item sinks no other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
from django.db import transaction

from accounts.credentials import IntegrationKeyRecord
from accounts.directory import directory
from billing.charging import capturing, deciding, drawing, giving_back, late
from billing.charging.booking import Batch, book_item, note_denial, write_batch
from billing.charging.bounding import read_limits
from billing.charging.calm import doubt
from billing.charging.deciding import RatedItem
from billing.charging.holding import hold_item
from billing.charging.outcomes import Authorized, Charged, Denied, Failed, Outcome, Quarantined, Recorded
from billing.charging.planning import Planned, forget_global, plan_requests
from billing.charging.problems import problem_of
from billing.charging.reading import Known, KnownKey, lock_and_read
from billing.charging.repeating import answer_again, repeat
from billing.charging.reporting import ReportedHolds, check_reports, name_late_captures
from billing.charging.requests import ChargeRequest, Mode
from billing.charging.shards import Numbered, shards_of
from billing.charging.stale import StaleConfig
from billing.charging.straight import book_straight
from billing.funding import Part
from core import clock
from core.api.errors import as_tollgate_error
from core.database_errors import Unavailable
from core.errors import KEYS_FAULT, TollgateError
from core.partitions import ensure_month
from core.pipeline import STALE
from core.sql import driver
from metering.events import EventInput
from metering.quarantine import QuarantineItem, quarantine_events

log = logging.getLogger(__name__)

ATTEMPTS: Final = 5
COUNTED: Final = (Charged, Recorded, Authorized)
"""The outcomes that use their key."""
RETRIED: Final = (
    psycopg.errors.UniqueViolation,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.SerializationFailure,
    *STALE,
)


def charge_many(requests: Sequence[ChargeRequest]) -> list[Outcome]:
    """Charge or record each request; the outcomes are in their order.

    Each charge is whole in one transaction; one transaction carries many (`charging.shards`).
    """
    outcomes = charge_numbered(list(enumerate(requests)))
    return [outcomes[place] for place in range(len(requests))]


def charge_numbered(requests: Sequence[Numbered]) -> dict[int, Outcome]:
    """The same by the requests' places."""
    outcomes: dict[int, Outcome] = {}
    for shard in shards_of(requests):
        outcomes |= charge_batch(shard, skip_locked=False)
    return outcomes


def report_events(
    events: Sequence[EventInput],
    *,
    source: str = "api",
    credential: IntegrationKeyRecord | None = None,
    is_any_age: bool = False,
) -> list[Outcome]:
    """Record what has happened already: never denied, below zero it is Overspend."""
    return charge_many(
        [ChargeRequest(event, Mode.REPORT, source, credential, is_any_age) for event in events]
    )


def charge_batch(requests: Sequence[Numbered], *, skip_locked: bool) -> dict[int, Outcome]:
    """One transaction for all, by index. With `skip_locked`, requests whose payer another transaction
    holds are left out of the answer."""
    for _ in range(ATTEMPTS):
        try:
            return _transaction(requests, clock.now(), skip_locked=skip_locked)
        except StaleConfig as stale:
            directory.forget(stale.customer_ids)
            if stale.is_global:
                forget_global()
        except ReportedHolds as reported:
            requests = reported.captured(requests)
        except Exception as error:
            if not _may_retry(error):
                log.exception("a batch failed; its items are run alone")
                break
    return _run_alone(requests, skip_locked=skip_locked)


def _may_retry(error: Exception) -> bool:
    """Whether another attempt may get past it: a key that another payer's charge just used, a deadlock, a
    table that was just changed."""
    cause = error.__cause__ or error
    if isinstance(cause, psycopg.errors.DivisionByZero):  # a counter's row is gone (store_limits)
        doubt()
        return True
    return isinstance(cause, RETRIED)


def _run_alone(requests: Sequence[Numbered], *, skip_locked: bool) -> dict[int, Outcome]:
    if len(requests) == 1:
        return _transaction(requests, clock.now(), skip_locked=skip_locked)
    outcomes: dict[int, Outcome] = {}
    for request in requests:
        try:
            outcomes |= charge_batch([request], skip_locked=skip_locked)
        except Exception as exception:
            error = as_tollgate_error(exception)
            if isinstance(error, Unavailable):  # what holds for one holds for all
                raise
            outcomes[request[0]] = Failed(error)
    return outcomes


def _transaction(requests: Sequence[Numbered], now: datetime, *, skip_locked: bool) -> dict[int, Outcome]:
    ensure_month(now)
    plan = plan_requests(requests, now)
    read_limits(plan.items, plan.customer_versions)
    with transaction.atomic():
        raw = driver()
        items, known = lock_and_read(raw, plan, now, skip_locked=skip_locked)
        return _decide_and_write(raw, items, known, now)


def _decide_and_write(
    raw: psycopg.Connection[Any], items: Sequence[Planned], known: Known, now: datetime
) -> dict[int, Outcome]:
    check_reports(items, known)
    outcomes: dict[int, Outcome] = {}
    batch = Batch(now)
    if known.floored is not None:
        known.floored.margins = batch.margins
    replays: list[tuple[Planned, KnownKey]] = []
    first_of: dict[tuple[int, str], Planned] = {}
    quarantine: list[QuarantineItem] = []
    for item in items:
        config = item.attribution.config
        key = (config.customer_id if config else 0, item.request.event.idempotency_key)
        if isinstance(item.attribution.problem, KEYS_FAULT):
            outcomes[item.index] = Failed(item.attribution.problem)  # learns not even an earlier answer
        elif key in known.keys:
            replays.append((item, known.keys[key]))
        elif key in first_of:
            outcomes[item.index] = repeat(item, first_of[key], outcomes[first_of[key].index])
        else:
            outcome = book_straight(batch, item, known) or _decide(raw, item, known, batch, quarantine)
            outcomes[item.index] = outcome
            if isinstance(outcome, COUNTED):
                first_of[key] = item
    outcomes |= answer_again(raw, replays, known)
    quarantine_events(quarantine, received_at=now)
    name_late_captures(raw, items, outcomes, batch, known)
    write_batch(raw, batch, known, is_last=not batch.late)
    if batch.late:
        late.settle_closed(batch.late, now)
    return outcomes


def _decide(
    raw: psycopg.Connection[Any],
    item: Planned,
    known: Known,
    batch: Batch,
    quarantine: list[QuarantineItem],
) -> Outcome:
    problem = problem_of(item)
    if isinstance(problem, Quarantined):
        config = item.attribution.config
        customer_id = None if config is None else config.customer_id
        credential = item.request.credential
        key_id = None if credential is None else credential.id
        quarantine.append(
            QuarantineItem(item.request.event, problem.reason, problem.message, customer_id, key_id)
        )
        return problem
    if problem is not None:
        return Failed(problem)
    payer = item.attribution.payer
    assert payer is not None
    book = known.books[payer.customer_id, payer.id]
    try:
        rated = deciding.rate_item(item, known)
    except TollgateError as error:
        return Failed(error)
    hold = item.request.hold
    names_amount = hold is not None and hold.amount is not None
    if rated.not_priced is not None and item.request.mode is not Mode.REPORT and not names_amount:
        return Failed(rated.not_priced)
    if hold is not None:
        return hold_item(batch, item, book, rated, known.limiting)
    absorbed = late.settle_item(raw, item, known, rated) if item.late_segments else []
    if item.request.authorization is not None and item.request.authorization.is_lease:
        return _draw(raw, item, known, batch, rated, absorbed)
    if item.request.authorization is not None:
        return _capture(raw, item, known, batch, rated, absorbed)
    parts = deciding.fund(item, book, rated)
    denial = deciding.refuse(item, book, rated, parts, known.limiting)
    if denial is not None:
        note_denial(batch, item, denial)
        return denial
    return _book(raw, item, known, batch, rated, parts, absorbed)


def _capture(
    raw: psycopg.Connection[Any],
    item: Planned,
    known: Known,
    batch: Batch,
    rated: RatedItem,
    absorbed: list[Part],
) -> Outcome:
    capture = capturing.begin(item, known, rated)
    if isinstance(capture, TollgateError):
        return Failed(capture)
    if isinstance(capture, Denied):
        note_denial(batch, item, capture)
        return capture
    parts = deciding.fund(item, capture.book, rated, batch.now)
    denial = capture.refuse(rated, parts, known.limiting)
    if denial is not None:
        note_denial(batch, item, denial)
        return capturing.late_error(capture) if capture.is_late else denial
    item.is_late_capture = capture.is_late
    outcome = _book(raw, item, known, batch, rated, parts, absorbed + capture.absorbed)
    capture.finish(outcome)
    return outcome


def _draw(
    raw: psycopg.Connection[Any],
    item: Planned,
    known: Known,
    batch: Batch,
    rated: RatedItem,
    absorbed: list[Part],
) -> Outcome:
    payer = item.attribution.payer
    assert payer is not None
    drawing.draw(item, known, rated)
    book = known.books[payer.customer_id, payer.id]
    if not item.is_of_lease:
        return _book(raw, item, known, batch, rated, deciding.fund(item, book, rated), absorbed)
    parts = deciding.fund(item, book, rated, batch.now)
    outcome = _book(raw, item, known, batch, rated, parts, absorbed)
    book.settle_due((), batch.now)  # of expired grants that the lease kept, what it let go
    return outcome


def _book(
    raw: psycopg.Connection[Any],
    item: Planned,
    known: Known,
    batch: Batch,
    rated: RatedItem,
    parts: list[Part],
    absorbed: list[Part],
) -> Charged | Recorded:
    """Book what is allowed. `absorbed`: what the operator bears of it."""
    payer = item.attribution.payer
    assert payer is not None
    book = known.books[payer.customer_id, payer.id]
    if any(amount < 0 for _, amount in rated.amounts):
        parts = late.take_coupons_back(batch, item, book, rated, parts)
        parts += giving_back.give_back_lines(raw, book, rated, batch.paid)
    return book_item(batch, item, known, book, rated, parts + absorbed)
