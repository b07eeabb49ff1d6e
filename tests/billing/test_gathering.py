"""Those who were just answered are let into the next batch, for a bounded time; a lone caller never waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any, cast

import pytest

from billing.charging import batching
from billing.charging.batching import ChargeQueue
from billing.charging.queues import SIBLINGS_MIN, ThreadTicket
from billing.charging.requests import ChargeRequest, Mode
from metering.events import EventInput

LONG = 20.0
WAIT = 20


class Commits:
    """In place of the path: notes the size of each batch; can be held up."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.open = Event()
        self.open.set()

    def __call__(self, requests: Sequence[tuple[int, Any]], *, skip_locked: bool) -> dict[int, Any]:
        self.sizes.append(len(requests))
        assert self.open.wait(WAIT)
        return {index: "charged" for index, _ in requests}


@pytest.fixture
def commits(monkeypatch: pytest.MonkeyPatch) -> Commits:
    commits = Commits()
    monkeypatch.setattr(batching, "charge_batch", commits)
    monkeypatch.setattr(batching, "drop_broken_connection", lambda: None)
    return commits


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


@pytest.fixture
def queue(pool: ThreadPoolExecutor) -> ChargeQueue:
    return ChargeQueue(pool, skip_locked=False)


def charged(queue: ChargeQueue) -> Callable[[], Any]:
    def run() -> Any:
        ticket: ThreadTicket[Any, Any] = ThreadTicket(ChargeRequest(cast(EventInput, None), Mode.ASK))
        queue.ask(ticket)
        return ticket.outcome

    return run


def until(holds: Callable[[], bool]) -> None:
    for _ in range(WAIT * 1000):
        if holds():
            return
        time.sleep(0.001)
    raise AssertionError("it never came to hold")


def batch_of(queue: ChargeQueue, commits: Commits, pool: ThreadPoolExecutor, size: int) -> None:
    """One caller, then `size` that queued up while it was charged: a batch of that size has been answered."""
    commits.open.clear()
    first = pool.submit(charged(queue))
    until(lambda: len(commits.sizes) == 1)
    others = [pool.submit(charged(queue)) for _ in range(size)]
    until(lambda: len(queue._waiting) == size)
    # the one who was answered first may come back, but does not
    commits.open.set()
    answered([first, *others])
    assert commits.sizes == [1, size]


def answered(callers: list[Future[Any]]) -> None:
    assert [caller.result(WAIT) for caller in callers] == ["charged"] * len(callers)


def test_those_who_were_answered_make_one_batch_again(
    queue: ChargeQueue, commits: Commits, pool: ThreadPoolExecutor
) -> None:
    queue.gather_seconds = 0.01
    batch_of(queue, commits, pool, 6)
    queue.gather_seconds = LONG
    began = time.monotonic()
    answered([pool.submit(charged(queue)) for _ in range(6)])
    assert commits.sizes[2:] == [6]
    assert time.monotonic() - began < LONG / 2, "the sixth was the last one to wait for"


def test_nobody_waits_longer_than_the_bound_for_those_who_stay_away(
    queue: ChargeQueue, commits: Commits, pool: ThreadPoolExecutor
) -> None:
    queue.gather_seconds = 0.01
    batch_of(queue, commits, pool, 6)
    answered([pool.submit(charged(queue)) for _ in range(2)])
    assert sum(commits.sizes[2:]) == 2
    answered([pool.submit(charged(queue))])


def test_after_a_wait_in_vain_the_next_batch_is_counted_afresh(
    queue: ChargeQueue, commits: Commits, pool: ThreadPoolExecutor
) -> None:
    queue.gather_seconds = 0.01
    batch_of(queue, commits, pool, 6)
    answered([pool.submit(charged(queue))])
    queue.gather_seconds = LONG
    began = time.monotonic()
    answered([pool.submit(charged(queue))])
    assert time.monotonic() - began < LONG / 2
    assert queue._missing == 0
    assert queue._is_whole.locked()


@pytest.mark.parametrize("callers", range(1, SIBLINGS_MIN))
def test_few_callers_wait_for_nobody(
    queue: ChargeQueue,
    commits: Commits,
    pool: ThreadPoolExecutor,
    callers: int,
) -> None:
    queue.gather_seconds = LONG
    began = time.monotonic()
    for _ in range(5):
        answered([pool.submit(charged(queue)) for _ in range(callers)])
    assert time.monotonic() - began < LONG / 2
