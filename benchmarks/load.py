"""A load generator that costs little, because it shares the machine with what it measures: one thread,
keep-alive connections, requests made beforehand, answers read no further than their length and status."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import inf
from typing import Final

from benchmarks.installation import HOST

_SEND_BUFFER: Final = 1 << 20
_RECEIVE_MAX: Final = 1 << 18
_SILENCE_SECONDS_MAX: Final = 30.0
_ACCEPTED: Final = re.compile(rb'"accepted":(\d+)')


@dataclass
class Load:
    """What came of it: how long each call took (seconds), calls by status, and the first bad answer."""

    seconds: float = 0.0
    calls: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    first_bad: bytes = b""
    taken: int = 0
    """What batches say they accepted."""

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.calls) / self.seconds

    def require(self, status: int) -> Load:
        """This load, if all its answers had the status; else it measured something else."""
        if set(self.statuses) != {status}:
            raise RuntimeError(f"answers by status: {self.statuses}; {self.first_bad[:500]!r}")
        return self


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)  # a batch fits in
        self.received = b""
        self.sent_at = 0.0

    def send(self, request: bytes | None) -> bool:
        """Send what there is; whether there was something."""
        if request is None:
            return False
        self.sent_at = time.perf_counter()
        self.socket.sendall(request)
        return True

    def answer(self) -> bytes | None:
        """The answer once it is whole; None when more is to come."""
        chunk = self.socket.recv(_RECEIVE_MAX)
        if not chunk:
            raise ConnectionError("The server closed a connection.")
        received = self.received + chunk if self.received else chunk
        body = received.find(b"\r\n\r\n") + 4
        self.received = received
        if body > 3 and len(received) >= body + _content_length(received[:body]):
            self.received = b""
            return received
        return None


def send_load(
    port: int,
    requests: Iterator[bytes],
    *,
    connections: int,
    seconds: float = inf,
    follow: Callable[[bytes], bytes | None] = lambda _: None,
) -> Load:
    """Keep `connections` busy with `requests` for `seconds`, or until there are no more; what is under way
    then is waited for. `follow` gives what an answer is followed by on its connection, if it is."""
    load, epoll = Load(), select.epoll()
    opened = {connection.socket.fileno(): connection for connection in map(_Connection, [port] * connections)}
    started = time.perf_counter()
    deadline = started + seconds
    busy = 0
    for descriptor, connection in opened.items():
        epoll.register(descriptor, select.EPOLLIN)
        busy += connection.send(next(requests, None))
    while busy:
        ready = epoll.poll(_SILENCE_SECONDS_MAX)
        if not ready:
            raise TimeoutError("The server has not answered for 30 seconds.")
        for descriptor, _ in ready:
            connection = opened[descriptor]
            answer = connection.answer()
            if answer is None:
                continue
            at = time.perf_counter()
            _note(load, answer, at - connection.sent_at)
            following = follow(answer)
            if following is None and at < deadline:
                following = next(requests, None)
            busy -= not connection.send(following)
    load.seconds = time.perf_counter() - started
    epoll.close()
    for connection in opened.values():
        connection.socket.close()
    return load


def post(path: str, secret: str, body: bytes) -> bytes:
    """A whole request as it goes over the wire."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {secret}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _note(load: Load, answer: bytes, seconds: float) -> None:
    status = int(answer[9:12])
    load.calls.append(seconds)
    load.statuses[status] = load.statuses.get(status, 0) + 1
    if found := _ACCEPTED.search(answer):
        load.taken += int(found[1])
    if status >= 300 and not load.first_bad:
        load.first_bad = answer


def _content_length(head: bytes) -> int:
    found = head.lower().partition(b"\r\ncontent-length:")[2]
    return int(found.partition(b"\r\n")[0])
