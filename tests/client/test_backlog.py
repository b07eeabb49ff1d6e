"""Events that wait: bounded, in order, never lost by a failure, never twice."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from decimal import Decimal
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.client.scripted import Script, error, lost, taken
from tollgate_client import AsyncClient, Client, Event, ServerError, Unreachable
from tollgate_client.backlog import BacklogState

PATIENCE_SECONDS = 60.0


def sent(server: Script) -> list[list[str]]:
    return [[event["idempotency_key"] for event in body["events"]] for body in server.bodies]


def wait_until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def event(key: str, name: str = "good") -> Event:
    return Event(name, workspace="w1", idempotency_key=key)


def test_what_waits_is_reported_in_the_background() -> None:
    server = Script(otherwise=taken)
    with server.client(backlog_seconds=0.01) as client:
        assert client.report_later(event("a"))
        assert client.report_later(event("b"))
        wait_until(lambda: client.backlog.state.waiting == 0)
        assert client.report_later(event("c"))
        wait_until(lambda: client.backlog.state.reported == 3)
    assert [key for keys in sent(server) for key in keys] == ["a", "b", "c"]


def test_a_report_without_an_answer_is_sent_again_under_the_same_keys() -> None:
    server = Script([lost(), error(503), lost()], otherwise=taken)
    with server.client(backlog_seconds=0.01, retries=0) as client:
        client.report_later(event("a"))
        wait_until(lambda: client.backlog.state.reported == 1)
    assert sent(server) == [["a"]] * 4


def test_closing_reports_what_waits() -> None:
    server = Script(otherwise=taken)
    with server.client(backlog_seconds=60) as client:
        client.report_later(event("a"))
        assert server.requests == []
    assert sent(server) == [["a"]]
    assert client.backlog.state == BacklogState(waiting=0, reported=1)


def test_what_cannot_be_reported_at_the_end_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    server = Script(otherwise=lambda _: error(503))
    with server.client(backlog_seconds=60) as client:
        client.report_later(event("a"))
    assert client.backlog.state.waiting == 1
    assert "1 events were not reported" in caplog.text


def test_a_full_backlog_turns_away_and_takes_again_after_a_report() -> None:
    server = Script(otherwise=taken)
    with server.client(backlog=2, backlog_seconds=60) as client:
        assert [client.report_later(event(key)) for key in "abc"] == [True, True, False]
        client.flush()
        assert client.report_later(event("d"))
        client.flush()
        assert client.backlog.state == BacklogState(reported=3, turned_away=1)
    assert sent(server) == [["a", "b"], ["d"]]


def test_a_flush_that_fails_says_so_and_keeps_all() -> None:
    server = Script([error(503)], otherwise=taken)
    with server.client(backlog_seconds=60, retries=0) as client:
        client.report_later(event("a"))
        with pytest.raises(ServerError):
            client.flush()
        assert client.backlog.state.waiting == 1
        client.flush()
        assert client.backlog.state == BacklogState(reported=1)


def test_an_event_that_is_refused_does_not_hold_up_the_rest(caplog: pytest.LogCaptureFixture) -> None:
    server = Script(otherwise=taken)
    with server.client(backlog_seconds=60) as client:
        for one in (event("a"), event("b", "bad"), event("c")):
            client.report_later(one)
        client.flush()
        assert client.backlog.state == BacklogState(reported=2, refused=1)
    assert "Event b was refused" in caplog.text


def test_an_event_that_cannot_be_written_is_refused_at_once() -> None:
    with Script(otherwise=taken).client() as client:
        with pytest.raises(TypeError):
            client.report_later(Event("e", workspace="w1", properties={"what": object()}))
        assert client.backlog.state.waiting == 0


def test_many_threads_add_while_one_reports() -> None:
    server = Script(otherwise=taken)
    with server.client(backlog_seconds=0.001) as client:
        threads = [Thread(target=_add, args=(client, name)) for name in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    keys = [key for batch in sent(server) for key in batch]
    assert sorted(keys) == sorted(f"{name}{number}" for name in "abcdefgh" for number in range(200))
    assert client.backlog.state == BacklogState(reported=1600)


def _add(client: Client, name: str) -> None:
    for number in range(200):
        assert client.report_later(event(f"{name}{number}"))


def test_asyncio_reports_in_the_background_and_at_the_end() -> None:
    server = Script([lost(), error(503)], otherwise=taken)

    async def run() -> None:
        async with server.async_client(backlog=3, backlog_seconds=0.01, retries=0) as client:
            client.report_later(event("a"))
            await _until(lambda: client.backlog.state.reported == 1)
            client.report_later(event("b"))
            client.report_later(event("c"))

    asyncio.run(run())
    assert sent(server) == [["a"], ["a"], ["a"], ["b", "c"]]


def test_asyncio_keeps_what_it_could_not_report() -> None:
    server = Script(otherwise=lambda _: error(503))

    async def run() -> AsyncClient:
        async with server.async_client(backlog=1, backlog_seconds=60, retries=0) as client:
            assert client.report_later(event("a"))
            assert not client.report_later(event("b"))
            with pytest.raises(ServerError):
                await client.flush()
        return client

    assert asyncio.run(run()).backlog.state == BacklogState(waiting=1, turned_away=1)


def test_a_report_interrupted_by_the_end_is_sent_again() -> None:
    """Closing cuts the background's report short; the batch stays and goes out once more."""
    started = asyncio.Event()
    seen: list[Any] = []

    async def answer_late(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content))
        if len(seen) == 1:
            started.set()
            await asyncio.sleep(60)
        return taken(request)

    async def run() -> AsyncClient:
        transport = httpx.MockTransport(answer_late)
        client = AsyncClient("http://t.test", "tg", backlog_seconds=0, transport=transport)
        client.report_later(event("a"))
        await started.wait()
        await client.aclose()
        return client

    assert asyncio.run(run()).backlog.state == BacklogState(reported=1)
    assert seen[0] == seen[1]


async def _until(is_done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_done():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.005)


def test_a_reserved_place_is_kept_for_its_event() -> None:
    with Script(otherwise=taken).client(backlog=2, backlog_seconds=60) as client:
        assert client.backlog.reserve()
        assert client.report_later(event("a"))
        assert not client.report_later(event("b"))
        assert not client.backlog.reserve()
        assert client.report_later(event("c"), is_reserved=True)
        assert client.backlog.state.waiting == 2
        client.flush()
        assert client.backlog.reserve()
        client.backlog.release()
        assert client.backlog.reserve()


def test_an_event_that_cannot_be_written_gives_its_place_back() -> None:
    with Script(otherwise=taken).client(backlog=1, backlog_seconds=60) as client:
        assert client.backlog.reserve()
        with pytest.raises(ValueError, match="not a number"):
            client.report_later(
                Event("e", workspace="w1", properties={"n": Decimal("NaN")}), is_reserved=True
            )
        assert client.report_later(event("a"))


def test_an_unreachable_server_costs_the_caller_of_report_later_nothing() -> None:
    server = Script(otherwise=_refuse)
    with server.client(backlog_seconds=0, retries=0) as client:
        assert client.report_later(event("a"))
        wait_until(lambda: len(server.requests) > 0)
        assert client.report_later(event("b"))
        with pytest.raises(Unreachable):
            client.flush()
    assert client.backlog.state.waiting == 2


def _refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)
