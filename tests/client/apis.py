"""Small APIs of somebody's own, of both kinds, to be metered."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

Answer = tuple[int, list[bytes]]


def words(request: Any) -> Answer:
    """Three words; what the path asks for otherwise: an error, a failure, JSON."""
    kind = request["path"].rsplit("/", 1)[-1]
    if kind == "missing":
        return 404, [b"no"]
    if kind == "broken":
        return 500, [b"oops"]
    if kind == "json":
        return 200, [json.dumps({"usage": {"prompt_tokens": 4, "completion_tokens": 5}}).encode()]
    return 200, [b"one ", b"two ", b"three"]


class WordsWSGI:
    """`/crash` raises before it answers, `/late-crash` after the status, `/half` in the middle."""

    def __init__(self) -> None:
        self.is_closed = False
        self.calls = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self.calls += 1
        if environ["PATH_INFO"] == "/crash":
            raise RuntimeError("crash")
        status, chunks = words({"path": environ["PATH_INFO"]})
        write = start_response(f"{status} Whatever", [("Content-Type", "text/plain"), ("X-Kind", "words")])
        if environ["PATH_INFO"] == "/late-crash":
            raise RuntimeError("late crash")
        if environ["PATH_INFO"] == "/write":
            write(b"old style ")
        return Body(self, chunks, breaks=environ["PATH_INFO"] == "/half")


class Body:
    def __init__(self, app: WordsWSGI, chunks: list[bytes], *, breaks: bool) -> None:
        self.app = app
        self.chunks = chunks
        self.breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        for number, chunk in enumerate(self.chunks):
            if self.breaks and number == 2:
                raise RuntimeError("half")
            yield chunk

    def close(self) -> None:
        self.app.is_closed = True


class WordsASGI:
    """The same, and `/slow` waits after two chunks until somebody hangs up."""

    def __init__(self) -> None:
        self.calls = 0
        self.waits = asyncio.Event()
        self.has_started = False
        self.has_stopped = False

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            self.has_started = True
            await receive()
            self.has_stopped = True
            return
        self.calls += 1
        if scope["path"] == "/crash":
            raise RuntimeError("crash")
        status, chunks = words(scope)
        headers = [(b"Content-Type", b"text/plain"), (b"X-Kind", b"words")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if scope["path"] == "/late-crash":
            raise RuntimeError("late crash")
        for number, chunk in enumerate(chunks):
            if number == 2 and scope["path"] == "/half":
                raise RuntimeError("half")
            if number == 2 and scope["path"] == "/slow":
                self.waits.set()
                await asyncio.sleep(60)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
