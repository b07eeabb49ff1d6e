"""A model's stream, metered: what was generated is captured however the stream ends."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from inspect import isawaitable
from typing import Any, TypeVar, overload

from tollgate_client.calls import AsyncCall, Call, Hold, State
from tollgate_client.tokens import Count, Tally, Tokens

T = TypeVar("T")
Properties = Callable[[Tokens], Mapping[str, Any]]


@overload
def meter_stream(
    call: Call,
    stream: Iterable[T],
    *,
    properties: Properties | None = None,
    count: Count | None = None,
) -> Iterator[T]: ...
@overload
def meter_stream(
    call: AsyncCall,
    stream: AsyncIterable[T],
    *,
    properties: Properties | None = None,
    count: Count | None = None,
) -> AsyncIterator[T]: ...
def meter_stream(
    call: Call | AsyncCall,
    stream: Any,
    *,
    properties: Properties | None = None,
    count: Count | None = None,
) -> Any:
    """The chunks of `stream`, as they come; when it ends, `call` is settled with what they used.

    The vendor's figures count when they arrive (ask for them: `stream_options={"include_usage": True}`). When
    the reader leaves, or the vendor fails in the middle, what was generated so far is captured: the pieces
    that came, or what `count`, a tokenizer, makes of their text; the input is what the authorization expected
    as `input_tokens`. A stream that brought nothing voids the hold.

    `properties` turns the tokens into the properties of the event; without it they are `Tokens.properties`.
    Texts of the expected properties, such as the model, are kept beside them. From here on the stream settles
    the call: leaving the `with` of the authorization does not void it.
    """
    call.state = State.HANDED_OVER
    expected = call.event.properties.get("input_tokens", 0)
    tally = Tally(expected if isinstance(expected, int) else 0, count)
    settlement = Settlement(call, tally, properties)
    if isinstance(call, AsyncCall):
        return AsyncMeteredStream(call, stream, settlement)
    metered = _metered(call, stream, settlement)
    next(metered)  # so that it settles the call even if nobody reads it
    return metered


class Settlement:
    """What a stream owes at its end."""

    def __init__(self, call: Hold, tally: Tally, properties: Properties | None) -> None:
        self.tally = tally
        self._call = call
        self._properties = properties

    def usage(self) -> dict[str, Any] | None:
        """The properties to capture; None when nothing came, and then the hold is its caller's again."""
        tokens = self.tally.tokens
        if tokens is None:
            self._call.state = State.OPEN
            return None
        used = tokens.properties if self._properties is None else self._properties(tokens)
        kept = {name: value for name, value in self._call.event.properties.items() if isinstance(value, str)}
        return {**kept, **used}


def _metered(call: Call, stream: Iterable[T], settlement: Settlement) -> Generator[T, None, None]:
    try:
        yield None  # type: ignore[misc]  # taken by meter_stream
        for chunk in stream:
            settlement.tally.add(chunk)
            yield chunk
    finally:
        try:
            if (close := getattr(stream, "close", None)) is not None:
                close()  # a vendor that nobody listens to need not go on
        finally:
            call.end(settlement.usage())


class AsyncMeteredStream(AsyncIterator[T]):
    """The chunks of an async stream; `aclose` ends it early."""

    def __init__(self, call: AsyncCall, stream: AsyncIterable[T], settlement: Settlement) -> None:
        self._call = call
        self._stream = stream
        self._settlement = settlement
        self._chunks = self._metered()
        self._is_started = False

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        self._is_started = True
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Stop reading and settle the call with what came."""
        if self._is_started:
            await self._chunks.aclose()
        else:
            self._is_started = True
            await self._end()

    async def _metered(self) -> AsyncGenerator[T, None]:
        try:
            async for chunk in self._stream:
                self._settlement.tally.add(chunk)
                yield chunk
        finally:
            await self._end()

    async def _end(self) -> None:
        try:
            close = getattr(self._stream, "aclose", None) or getattr(self._stream, "close", None)
            if close is not None and isawaitable(closing := close()):
                await closing
        finally:
            await self._call.end(self._settlement.usage())
