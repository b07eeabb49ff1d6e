"""Bodies that are too much, sent as they come: by a raw socket, a piece at a time."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterable, Iterator
from threading import Event, Thread
from typing import Any

import psutil

from benchmarks.installation import HOST

MB = 1024**2
PIECE = b"x" * MB
ANSWER_SECONDS_MAX = 120
SAMPLE_SECONDS = 0.005


def send(port: int, path: str, secret: str, pieces: Iterable[bytes], **headers: str) -> tuple[int, Any]:
    """Send a body in pieces, `Content_Length` long if that is among the headers, else chunked; the answer.

    The server may answer before the end; then the rest is not sent.
    """
    is_chunked = "Content_Length" not in headers
    lines = [f"POST {path} HTTP/1.1", f"Host: {HOST}", f"Authorization: Bearer {secret}", "Connection: close"]
    named = {"Content_Type": "application/json"} | headers
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    lines += ["Transfer-Encoding: chunked"] if is_chunked else []
    with socket.create_connection((HOST, port), timeout=ANSWER_SECONDS_MAX) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        try:
            for piece in pieces:
                connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            connection.sendall(b"0\r\n\r\n" if is_chunked else b"")
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        return _answer(connection)


def hang_up(port: int, path: str, secret: str, sent: bytes, *, announced: int) -> None:
    """Announce a body, send a part of it, and close the connection."""
    head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {secret}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {announced}\r\n\r\n"
    with socket.create_connection((HOST, port), timeout=ANSWER_SECONDS_MAX) as connection:
        connection.sendall(head.encode() + sent)


def _answer(connection: socket.socket) -> tuple[int, Any]:
    raw = b""
    while piece := connection.recv(1 << 16):
        raw += piece
    head, _, body = raw.partition(b"\r\n\r\n")
    assert head, "there is an answer"
    return int(head.split()[1]), json.loads(body)


def zeros(megabytes: int) -> Iterator[bytes]:
    """A body of so many megabytes that is no JSON."""
    for _ in range(megabytes):
        yield PIECE


def bomb(megabytes: int) -> bytes:
    """So many megabytes of one JSON text, packed to a thousandth."""
    return gzip.compress(b'{"events": ["' + b"0" * (megabytes * MB) + b'"]}', compresslevel=6)


class Memory:
    """The most that processes hold while a block runs, as a context manager, in bytes over what they held
    before it."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        self._processes = processes
        self._stop = Event()
        self._thread = Thread(target=self._watch)
        self._before = self._held()
        self._most = self._before

    @property
    def growth(self) -> int:
        """The most that was held at once, over what was held before."""
        return self._most - self._before

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self._most = max(self._most, self._held())
            time.sleep(SAMPLE_SECONDS)

    def _held(self) -> int:
        return sum(process.memory_info().rss for process in self._processes)
