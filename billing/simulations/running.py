"""Running simulations in steps: each step is one transaction that moves the simulation on by some payers.

A step locks the simulation's row, so that two workers never do the same payers; a worker that dies loses
its step only, and the next one goes on from there.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Final

import msgspec
from django.db import OperationalError, transaction

from accounts.scoping import OPERATOR
from billing.simulations.asking import window_of
from billing.simulations.sources import costs_of, reversed_events
from billing.simulations.totals import totals_of
from core import clock
from core.errors import TollgateError
from core.numbers import CONTEXT, plain
from core.sql import driver
from pricing.models import Simulation
from pricing.simulation import Candidate, Cohort, PayerResult, Simulator, compile_content, payers_of
from pricing.simulation.cohorts import payer_rows
from pricing.simulation.simulating import PAYERS_AT_ONCE
from pricing.store_simulations import write_rows

Status = Simulation.Status
TO_RUN: Final = (Status.QUEUED, Status.RUNNING)
GC_THRESHOLD: Final = 200_000
logger = logging.getLogger(__name__)


def run_simulations() -> int:
    """Run every simulation that is queued or was left unfinished, the oldest first; gives their number."""
    count = 0
    for pk in Simulation.objects.filter(status__in=TO_RUN).order_by("pk").values_list("pk", flat=True):
        run_simulation(pk)
        count += 1
    return count


def run_simulation(pk: int) -> None:
    """Run one to its end, from wherever it is; leaves one alone that another worker is at.

    What is wrong with the simulation itself makes it `failed`; that the database is away is raised.
    """
    try:
        with _rare_collections():
            for _ in _steps(pk):
                pass
    except OperationalError:
        raise
    except TollgateError as error:
        _fail(pk, error.message)
    except Exception:
        logger.exception("simulation %s failed", pk)
        _fail(pk, "Something went wrong on our side; the log says what.")


@contextmanager
def _rare_collections() -> Iterator[None]:
    """A step makes many short-lived objects, none in a circle: the collector need not walk them each time."""
    before = gc.get_threshold()
    gc.set_threshold(GC_THRESHOLD, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _steps(pk: int) -> Iterator[int]:
    """One step after the other, each committed when it is handed out."""
    simulator: Simulator | None = None
    while True:
        with transaction.atomic():
            rows = Simulation.objects.filter(pk=pk, status__in=TO_RUN)
            simulation = rows.select_for_update(skip_locked=True, no_key=True).first()
            if simulation is None:
                return
            simulator = simulator or _simulator(simulation)
            if not _step(simulation, simulator):
                return
        yield simulation.payers_done


def _simulator(simulation: Simulation) -> Simulator:
    candidates, window = candidates_of(simulation), window_of(simulation)
    return Simulator(candidates, window, costs=costs_of, left_out=reversed_events)


def candidates_of(simulation: Simulation) -> list[Candidate]:
    """What it simulates, compiled from the content that it keeps."""
    return [compile_content(each["content"]) for each in simulation.versions]


def _step(simulation: Simulation, simulator: Simulator) -> bool:
    """The next payers; False once there are none left and the totals are drawn."""
    now = clock.now()
    payers = payers_of(Cohort.from_dict(simulation.cohort), window_of(simulation), OPERATOR)
    if simulation.status == Status.QUEUED:
        simulation.status, simulation.started_at = Status.RUNNING, now
        simulation.payers_total = payers.count()
    page = payer_rows(payers, simulation.last_payer_id, PAYERS_AT_ONCE)
    if page:
        write_rows(driver(), _rows(simulation, simulator.run(page)))
        simulation.payers_done += len(page)
        simulation.last_payer_id = page[-1].id
    else:
        simulation.status, simulation.finished_at = Status.DONE, now
        simulation.totals = totals_of(simulation)
    simulation.save()
    return bool(page)


def _rows(simulation: Simulation, results: Sequence[PayerResult]) -> Iterator[tuple[object, ...]]:
    """A row for each payer and version; none where the version is in another currency."""
    for result in results:
        cost = None if result.cost.events and not result.cost.costed else result.cost.amount
        current = _texts(result.current.lines)
        for number, bill in enumerate(result.simulated):
            if bill is None:
                continue
            yield (
                simulation.pk,
                number,
                result.payer.customer_id,
                result.payer.id,
                result.payer.currency,
                result.current.amount,
                bill.amount,
                CONTEXT.subtract(bill.amount, result.current.amount),
                cost,
                result.cost.events,
                result.cost.costed,
                bill.unpriced,
                _encode({"current": current, "simulated": _texts(bill.lines)}),
            )


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _texts(lines: Mapping[str, Decimal]) -> dict[str, str]:
    return {key: plain(amount) for key, amount in lines.items()}


def _fail(pk: int, problem: str) -> None:
    Simulation.objects.filter(pk=pk, status__in=TO_RUN).update(
        status=Status.FAILED, finished_at=clock.now(), problem=problem
    )
