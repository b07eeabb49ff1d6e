"""Streams as vendors send them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

USAGE = {
    "prompt_tokens": 20,
    "completion_tokens": 7,
    "total_tokens": 27,
    "prompt_tokens_details": {"cached_tokens": 12, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4},
}


def chat(text: str | None = None, **delta: Any) -> dict[str, Any]:
    """A chunk of a chat completion."""
    given = delta if text is None else {"content": text, **delta}
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": given}], "usage": None}


def last() -> dict[str, Any]:
    """The chunk that `include_usage` asks for."""
    return {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}


def objects(value: Any) -> Any:
    """The same as a vendor's library gives it: attributes instead of names."""
    if isinstance(value, dict):
        return SimpleNamespace(**{name: objects(item) for name, item in value.items()})
    return [objects(item) for item in value] if isinstance(value, list) else value


class Stream:
    """A vendor's stream: it may break, and it notices when it is closed."""

    def __init__(self, chunks: list[Any], error: Exception | None = None) -> None:
        self.chunks = chunks
        self.error = error
        self.is_closed = False

    def __iter__(self) -> Iterator[Any]:
        yield from self.chunks
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.is_closed = True


class AsyncStream(Stream):
    """As a vendor's library has it for asyncio: `close` is a coroutine."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        for chunk in self.chunks:
            yield chunk
        if self.error is not None:
            raise self.error

    async def close(self) -> None:  # type: ignore[override]
        self.is_closed = True
