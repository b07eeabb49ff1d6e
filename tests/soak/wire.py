"""HTTP over one connection that is kept, cheap enough for hundreds of clients in one thread."""

from __future__ import annotations

import asyncio
import json
from typing import Any, Final

from benchmarks.installation import HOST

ANSWER_SECONDS_MAX: Final = 20
DROPS: Final = ("at once", "half way")
"""How a caller hangs up: after it has sent all, or in the middle of it."""


class Dropped(ConnectionError):
    """The caller itself hung up, and does not know what became of its request."""


class Wire:
    """A connection, opened when it is needed and closed when anything goes wrong."""

    def __init__(self, port: int, secret: str) -> None:
        self._port, self._secret = port, secret
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def send(
        self, method: str, path: str, body: Any, key: str | None, *, drop: str | None = None
    ) -> tuple[int, Any]:
        """Status and body of the answer. Raises OSError or EOFError when there is none in time, or when the
        connection is to `drop`."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                return await self._send(self._request(method, path, body, key), drop)
        except BaseException:
            self.close()
            raise

    def another(self) -> Wire:
        """A second connection of the same caller."""
        return Wire(self._port, self._secret)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _send(self, request: bytes, drop: str | None) -> tuple[int, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(HOST, self._port)
        reader, writer = self._streams
        writer.write(request if drop != "half way" else request[: len(request) - len(request) // 4])
        await writer.drain()
        if drop is not None:
            raise Dropped(f"dropped {drop}")
        head = await reader.readuntil(b"\r\n\r\n")
        status, headers = int(head[9:12]), head.lower()
        length = int(headers.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        answer = await reader.readexactly(length)
        if b"\r\nconnection: close" in headers:
            self.close()
        return status, json.loads(answer)

    def _request(self, method: str, path: str, body: Any, key: str | None) -> bytes:
        content = json.dumps(body).encode()
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {HOST}",
            f"Authorization: Bearer {self._secret}",
            "Content-Type: application/json",
            f"Content-Length: {len(content)}",
            *([f"Idempotency-Key: {key}"] if key is not None else []),
        ]
        return "\r\n".join([*lines, "", ""]).encode() + content
