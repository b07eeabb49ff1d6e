"""Bodies: bounded, unpacked piece by piece, never a surprise."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from contextlib import suppress
from io import BytesIO
from random import Random
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from rest_framework.request import Request

from core.api.bodies import CHUNK, PIECE, ChunkedBodyMiddleware, read_body
from core.api.negotiation import JSONNegotiation
from core.api.parsers import JSONParser
from core.errors import InvalidRequest, TooLarge

LIMIT = 1000


def request(body: bytes, **headers: str) -> Any:
    return RequestFactory().generic("POST", "/", body, headers=headers)


def test_a_plain_body_is_read_as_it_is() -> None:
    assert read_body(request(b"hello"), LIMIT) == b"hello"
    assert read_body(request(b"hello", **{"Content-Encoding": "identity"}), LIMIT) == b"hello"
    assert read_body(request(b""), LIMIT) == b""


@pytest.mark.parametrize("name", ["gzip", "GZIP", " gzip ", "x-gzip"])
def test_gzip_is_unpacked(name: str) -> None:
    assert read_body(request(gzip.compress(b"hello"), **{"Content-Encoding": name}), LIMIT) == b"hello"


def test_gzip_of_several_members_is_unpacked_whole() -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"two ") + gzip.compress(b"three")
    assert read_body(request(body, **{"Content-Encoding": "gzip"}), LIMIT) == b"one two three"


def test_a_body_of_the_limit_is_read_and_one_byte_more_is_not() -> None:
    assert len(read_body(request(b"x" * LIMIT), LIMIT)) == LIMIT
    packed = {"Content-Encoding": "gzip"}
    assert len(read_body(request(gzip.compress(b"x" * LIMIT), **packed), LIMIT)) == LIMIT
    for body, headers in ((b"x" * (LIMIT + 1), {}), (gzip.compress(b"x" * (LIMIT + 1)), packed)):
        with pytest.raises(TooLarge) as raised:
            read_body(request(body, **headers), LIMIT)
        assert raised.value.status == 413
        assert raised.value.code == "body_too_large"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"hello",
        b"\x1f\x8b",
        gzip.compress(b"hello", mtime=0)[:-1],
        gzip.compress(b"hello", mtime=0)[:-8],
        gzip.compress(b"hello", mtime=0) + b"rubbish",
        gzip.compress(b"hello", mtime=0)[:-4] + b"\x00\x00\x00\x00",
        zlib.compress(b"hello"),
        b"\x00" * 100,
    ],
)
def test_broken_gzip_is_a_clear_error(body: bytes) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_body(request(body, **{"Content-Encoding": "gzip"}), LIMIT)
    assert raised.value.code == "invalid_gzip"


@pytest.mark.parametrize("name", ["br", "deflate", "gzip, gzip", "zstd", "\x00", "x" * 5000])
def test_other_encodings_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_body(request(b"x", **{"Content-Encoding": name}), LIMIT)
    assert raised.value.code == "unsupported_encoding"


def test_a_bomb_costs_no_more_memory_than_the_limit() -> None:
    limit = 1_000_000
    bomb = gzip.compress(b"\x00" * 300_000_000)
    message = request(bomb, **{"Content-Encoding": "gzip"})
    tracemalloc.start()
    with pytest.raises(TooLarge):
        read_body(message, limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * limit


@pytest.mark.parametrize("limit", [4_000_000, 16_000_000, 40_000_000])
def test_unpacking_holds_what_came_out_once(limit: int) -> None:
    """One step that gives all would hold it twice: as it grows, and as it is handed over."""
    message = request(gzip.compress(b"\x00" * 100_000_000), **{"Content-Encoding": "gzip"})
    tracemalloc.start()
    with pytest.raises(TooLarge):
        read_body(message, limit)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < limit + 3_500_000


@pytest.mark.parametrize(
    "size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5]
)
@pytest.mark.parametrize("is_random", [False, True])
def test_bodies_of_every_size_come_out_as_they_went_in(size: int, is_random: bool) -> None:
    body = Random(size).randbytes(size) if is_random else b"7" * size
    packed, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
    assert read_body(request(packed, **headers), max(size, len(packed))) == body
    assert read_body(request(body), size) == body
    if size:
        for short in (request(packed, **headers), request(body)):
            with pytest.raises(TooLarge):
                read_body(short, size - 1)


def test_a_bomb_of_bombs_is_noticed_too() -> None:
    bomb = gzip.compress(b"\x00" * 20_000) * 99
    with pytest.raises(TooLarge):
        read_body(request(bomb, **{"Content-Encoding": "gzip"}), 1_000_000)


def test_a_swarm_of_tiny_members_is_refused() -> None:
    swarm = gzip.compress(b"") * 50_000
    with pytest.raises(InvalidRequest) as raised:
        read_body(request(swarm, **{"Content-Encoding": "gzip"}), 10_000_000)
    assert raised.value.code == "invalid_gzip"


@pytest.mark.parametrize("length", ["x", "-5", "", "99999999999999999999"])
def test_a_wrong_length_is_no_crash(length: str) -> None:
    message = request(b"hello")
    message.META["CONTENT_LENGTH"] = length
    with suppress(TooLarge):
        read_body(message, LIMIT)


def test_drf_is_told_of_a_chunked_body() -> None:
    message = request(b"", **{"Transfer-Encoding": "chunked"})
    message.META["CONTENT_LENGTH"] = ""
    message.META["wsgi.input"] = BytesIO(b'{"a": 1}')
    seen: list[Any] = []

    def view(each: Any) -> HttpResponse:
        seen.append(Request(each, parsers=[JSONParser()], negotiator=JSONNegotiation()).data)
        return HttpResponse()

    ChunkedBodyMiddleware(view)(message)
    assert seen == [{"a": 1}]


def test_a_chunked_body_which_declares_no_length_is_read_and_bounded() -> None:
    for size, fits in ((LIMIT, True), (LIMIT + 1, False)):
        message = request(b"x" * size, **{"Transfer-Encoding": "chunked"})
        message.META.pop("CONTENT_LENGTH")
        message.META["wsgi.input"] = BytesIO(b"x" * size)
        if fits:
            assert len(read_body(message, LIMIT)) == size
        else:
            with pytest.raises(TooLarge):
                read_body(message, LIMIT)
