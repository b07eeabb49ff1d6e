"""A request and its response, as the functions that resolve payer and quantity see them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. `headers` has lower-case names; `native` is the ASGI scope or the WSGI environ."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    native: Mapping[str, Any] = field(repr=False)


@dataclass(slots=True)
class Response:
    """What went out. It is complete when the last chunk was; else the reader or the program broke off.

    `body_bytes` and `chunks` count what was sent; `body` keeps its first bytes, up to the middleware's
    `keep`; `seconds` is from the request to the end.
    """

    request: Request
    keep: int
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    body_bytes: int = 0
    chunks: int = 0
    seconds: float = 0.0
    is_complete: bool = False
    _started: float = field(default_factory=time.monotonic, repr=False)

    def add(self, chunk: bytes) -> None:
        """One more piece of the body."""
        if not chunk:
            return
        if len(self.body) < self.keep:
            self.body += chunk[: self.keep - len(self.body)]
        self.body_bytes += len(chunk)
        self.chunks += 1

    def fail(self) -> None:
        """The program broke off. Where nothing of a body was sent, its caller has got no response: whatever
        status it had begun with, servers answer 500 or hang up."""
        if not self.chunks:
            self.status = 0

    def end(self) -> None:
        """No more will come."""
        self.seconds = time.monotonic() - self._started

    def json(self) -> Any:
        """The body as JSON; None when it is none, or longer than what is kept."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None
