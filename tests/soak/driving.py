"""The soak itself: start everything, let the crowd work while processes die, and bring it all to rest."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import psycopg

from tests.soak.callers import Caller
from tests.soak.clients import Client
from tests.soak.journal import Journal
from tests.soak.members import World, read_world
from tests.soak.rig import Rig
from tests.soak.staff import Staff
from tests.soak.wire import Wire

CONNECTIONS: Final = 200
STAFF_EACH: Final = 2
TELL_SECONDS: Final = 30
FIRST_KILL_SECONDS: Final = 4
KILL_SECONDS: Final = (3, 8)
"""How long it is from one kill to the next."""
REST_SECONDS_MAX: Final = 90
SLOW: Final = 3
MORE_SECONDS: Final = 5
OPEN_HOLDS: Final = "SELECT count(*) FROM billing_authorization WHERE status = 'authorized'"
Say = Callable[[str], None]


@dataclass
class Soaked:
    """What is to be checked: the journal, and the installation at rest, of which only PostgreSQL runs."""

    rig: Rig
    world: World
    journal: Journal
    seconds: float
    problems: list[str]


def drive(
    rig: Rig, journal: Journal, seconds: float, seed: str, say: Say, is_enough: Callable[[], bool]
) -> Soaked:
    """Run the soak in a rig that was started; end when all is answered, expired and done.

    Where not enough has happened by then (the machine is slow), it goes on for up to three times as long.
    """
    world = read_world(json.loads(rig.run_module("tests.soak.world")))
    rig.start_web()
    rig.start_jobs()
    started = time.monotonic()
    problems = asyncio.run(_crowd(rig, world, journal, seconds, seed, say, is_enough))
    lasted = time.monotonic() - started
    problems += _come_to_rest(rig)
    journal.close()
    return Soaked(rig, world, journal, lasted, problems)


async def _crowd(
    rig: Rig,
    world: World,
    journal: Journal,
    seconds: float,
    seed: str,
    say: Say,
    is_enough: Callable[[], bool],
) -> list[str]:
    """Let all clients work for so long; what they complain of."""
    stop, clients = asyncio.Event(), list(_clients(rig.port, world, journal, seed))
    tasks = [asyncio.create_task(client.run(stop)) for client in clients]
    telling = asyncio.create_task(_tell(rig, journal, say))
    killing = asyncio.create_task(_kill(rig, seed, stop))
    ends, started = seconds, time.monotonic()
    while (left := started + ends - time.monotonic()) > 0 or (not is_enough() and ends < SLOW * seconds):
        if left <= 0:
            ends += MORE_SECONDS
        elif killing.done() or all(task.done() for task in tasks):
            break
        await asyncio.sleep(min(1, max(0, left)))
    stop.set()
    problems = []
    try:
        await killing
    except Exception as error:
        problems.append(f"a process did not come back: {error!r}")
    await asyncio.gather(*tasks)
    telling.cancel()
    problems += [f"{client.name}: {client.problem!r}" for client in clients if client.problem]
    return problems + [f"{client.name} has not ended: {act}" for client, act in _unanswered(clients, journal)]


def _clients(port: int, world: World, journal: Journal, seed: str) -> list[Client]:
    clients: list[Client] = []
    for number in range(CONNECTIONS):
        customer = world.customers[number % len(world.customers)]
        name = f"{customer.name}-{number}"
        parts = (name, customer, Wire(port, world.secret), journal, random.Random(f"{seed}/{number}"))
        turn = number // len(world.customers)
        clients.append(Staff(*parts, is_first=not turn) if turn < STAFF_EACH else Caller(*parts))
    return clients


def _unanswered(clients: list[Client], journal: Journal) -> list[tuple[Client, str]]:
    names = {client.name: client for client in clients}
    return [(names[act.client], f"{act.kind} {act.path}") for act in journal.open.values()]


async def _kill(rig: Rig, seed: str, stop: asyncio.Event) -> None:
    chance = random.Random(f"{seed}/when")
    wait: float = FIRST_KILL_SECONDS
    while True:
        try:
            await asyncio.wait_for(stop.wait(), wait)
        except TimeoutError:
            await asyncio.to_thread(rig.kill_next)
            wait = chance.uniform(*KILL_SECONDS)
        else:
            return


async def _tell(rig: Rig, journal: Journal, say: Say) -> None:
    started = time.monotonic()
    while True:
        await asyncio.sleep(TELL_SECONDS)
        again = sum(len(act.failures) for act in journal.acts)
        statuses = Counter(act.status for act in journal.acts)
        say(
            f"{time.monotonic() - started:5.0f} s: {len(journal.acts)} answers, {statuses[402]} refusals,"
            f" {again} retries, {len(rig.kills)} kills"
        )


def _come_to_rest(rig: Rig) -> list[str]:
    """Wait until the worker has let all holds expire, run what is due, and stop all but PostgreSQL."""
    problems = []
    deadline = time.monotonic() + REST_SECONDS_MAX
    with psycopg.connect(rig.postgres.dsn, autocommit=True) as connection:
        while (rows := connection.execute(OPEN_HOLDS).fetchone()) and rows[0]:
            if time.monotonic() > deadline:
                problems.append(f"{rows[0]} holds are left over: the worker does not expire them")
                break
            time.sleep(0.5)
    rig.stop_jobs()
    rig.run_due()
    rig.stop("web")
    return problems
