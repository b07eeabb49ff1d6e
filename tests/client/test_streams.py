"""A metered stream settles its call however it ends."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.client.chunks import AsyncStream, Stream, chat, last
from tests.client.scripted import HOLD, Script, answer, error, script, well
from tollgate_client import AsyncClient, Call, meter_stream

WORDS = [chat("a"), chat("b"), chat("c"), last()]
EXPECTED = {"model": "large", "tokens": 400, "input_tokens": 18}
ALL = {
    "model": "large",
    "input_tokens": 20,
    "cached_tokens": 12,
    "output_tokens": 7,
    "reasoning_tokens": 4,
    "counted_by": "vendor",
}
TWO = {
    "model": "large",
    "input_tokens": 18,
    "cached_tokens": 0,
    "output_tokens": 2,
    "reasoning_tokens": 0,
    "counted_by": "client",
}


def authorized(server: Script) -> Call:
    return server.client(retries=0).authorize("completion", workspace="w1", properties=EXPECTED)


def captured(server: Script) -> Any:
    assert server.verbs == ["authorizations", "capture"], server.verbs
    assert server.bodies[1]["over"] == "overdraft"
    return server.bodies[1]["properties"]


def test_chunks_pass_as_they_are_and_the_vendors_figures_are_captured() -> None:
    server = script()
    assert list(meter_stream(authorized(server), Stream(WORDS))) == WORDS
    assert captured(server) == ALL


def test_a_reader_that_closes_captures_what_came_and_stops_the_vendor() -> None:
    server, stream = script(), Stream(WORDS)
    metered = meter_stream(authorized(server), stream)
    assert [next(metered), next(metered)] == WORDS[:2]
    metered.close()  # type: ignore[attr-defined]
    assert captured(server) == TWO
    assert stream.is_closed


def test_a_reader_that_just_leaves_captures_too() -> None:
    server = script()
    for number, _ in enumerate(meter_stream(authorized(server), Stream(WORDS)), 1):
        if number == 2:
            break
    gc.collect()
    assert captured(server) == TWO


def test_a_vendor_that_fails_in_the_middle_is_paid_for_what_came() -> None:
    server = script()
    with pytest.raises(httpx.ReadError):
        list(meter_stream(authorized(server), Stream(WORDS[:2], httpx.ReadError("gone"))))
    assert captured(server) == TWO


def test_a_stream_that_brings_nothing_voids() -> None:
    for stream in (Stream([]), Stream([], httpx.ConnectError("refused"))):
        server = script()
        metered = meter_stream(authorized(server), stream)
        with pytest.raises((StopIteration, httpx.ConnectError)):
            next(metered)
        assert server.verbs == ["authorizations", "void"]


def test_a_stream_that_nobody_reads_voids() -> None:
    server = script()
    meter_stream(authorized(server), Stream(WORDS)).close()  # type: ignore[attr-defined]
    assert server.verbs == ["authorizations", "void"]


def test_the_stream_may_outlive_the_with_that_made_it() -> None:
    server = script()
    with authorized(server) as call:
        stream = meter_stream(call, Stream(WORDS))
    assert server.verbs == ["authorizations"]
    assert list(stream) == WORDS
    assert captured(server) == ALL


def test_properties_are_the_callers_to_name() -> None:
    server = script()
    list(
        meter_stream(
            authorized(server),
            Stream(WORDS),
            properties=lambda tokens: {"tokens": tokens.input + tokens.output, "weight": Decimal("1.5")},
        )
    )
    assert captured(server) == {"model": "large", "tokens": 27, "weight": "1.5"}


def test_a_tokenizer_may_count() -> None:
    server = script()
    metered = meter_stream(
        authorized(server), Stream([chat("one tw"), chat("o three")]), count=lambda text: len(text)
    )
    list(metered)
    assert captured(server)["output_tokens"] == len("one two three")


def test_usage_that_cannot_be_captured_is_not_lost() -> None:
    server = script(answer(201, HOLD), error(503))
    call = authorized(server)
    list(meter_stream(call, Stream(WORDS)))
    call._client.close()
    assert server.verbs == ["authorizations", "capture", "events"]
    (event,) = server.bodies[2]["events"]
    assert event["properties"] == ALL
    assert event["idempotency_key"] == server.bodies[0]["idempotency_key"]


async def read(metered: AsyncIterator[Any], most: int | None = None) -> list[Any]:
    chunks: list[Any] = []
    while len(chunks) != most:
        try:
            chunks.append(await anext(metered))
        except StopAsyncIteration:
            break
    return chunks


def run_async(
    server: Script, stream: AsyncStream, most: int | None = None, *, closes: bool = True
) -> list[Any]:
    async def run() -> list[Any]:
        async with server.async_client() as client:
            call = await client.authorize("completion", workspace="w1", properties=EXPECTED)
            metered = meter_stream(call, stream)
            chunks = await read(metered, most)
            if closes:
                await metered.aclose()  # type: ignore[attr-defined]
            return chunks

    return asyncio.run(run())


def test_async_chunks_pass_and_the_vendors_figures_are_captured() -> None:
    server = script()
    assert run_async(server, AsyncStream(WORDS), closes=False) == WORDS
    assert captured(server) == ALL


def test_an_async_reader_that_closes_captures_what_came_and_stops_the_vendor() -> None:
    server, stream = script(), AsyncStream(WORDS)
    assert run_async(server, stream, 2) == WORDS[:2]
    assert captured(server) == TWO
    assert stream.is_closed


def test_an_async_stream_that_is_closed_unread_voids() -> None:
    server, stream = script(), AsyncStream(WORDS)
    assert run_async(server, stream, 0) == []
    assert server.verbs == ["authorizations", "void"]
    assert stream.is_closed


def test_an_async_vendor_that_fails_is_paid_for_what_came() -> None:
    server = script()
    with pytest.raises(httpx.ReadError):
        run_async(server, AsyncStream(WORDS[:2], httpx.ReadError("gone")))
    assert captured(server) == TWO


def test_an_async_generator_is_a_stream_too() -> None:
    server = script()

    async def generate() -> AsyncIterator[Any]:
        for word in WORDS:
            yield word

    async def run() -> list[Any]:
        async with server.async_client() as client, client.authorize("completion", workspace="w1") as call:
            return [chunk async for chunk in meter_stream(call, generate())]

    assert asyncio.run(run()) == WORDS
    assert captured(server)["output_tokens"] == 7


def test_a_disconnect_cancels_the_reader_and_captures_what_came() -> None:
    """As a web server does it: the task that reads is cancelled while the vendor is still generating."""
    server = Script(otherwise=well)
    waiting = asyncio.Event()

    async def generate() -> AsyncIterator[Any]:
        yield chat("a")
        yield chat("b")
        waiting.set()
        await asyncio.sleep(60)

    async def respond(client: AsyncClient) -> None:
        async with client.authorize("completion", workspace="w1", properties=EXPECTED) as call:
            async for _ in meter_stream(call, generate()):
                pass

    async def run() -> None:
        async with server.async_client() as client:
            task = asyncio.ensure_future(respond(client))
            await waiting.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert captured(server) == TWO


def test_a_generator_of_a_web_response_captures_when_it_is_dropped() -> None:
    server = script()

    def body() -> Iterator[bytes]:
        for chunk in meter_stream(authorized(server), Stream(WORDS)):
            yield chunk["choices"][0]["delta"]["content"].encode()

    response = body()
    assert [next(response), next(response)] == [b"a", b"b"]
    response.close()  # type: ignore[attr-defined]
    assert captured(server) == TWO
