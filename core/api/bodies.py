"""Reading a request's body: bounded, gzip undone piece by piece, never more in memory than allowed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import IO, Final

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from core.errors import InvalidRequest, TooLarge

CHUNK: Final = 1 << 16
# What one step of unpacking gives at most: zlib doubles its room as it goes and then copies it.
PIECE: Final = 1 << 20
# A client that is still sending cannot read an answer, so a body that is too large is read and thrown
# away, up to this many times the limit.
DRAIN_FACTOR: Final = 10
# Each member costs a copy of what is left of its chunk.
MEMBERS_MAX: Final = 100
_GZIP: Final = 16 + zlib.MAX_WBITS


def read_body(request: HttpRequest, limit: int | None = None) -> bytes:
    """The body, unpacked when it came as gzip.

    `limit` (bytes, before and after unpacking; default `settings.API_BODY_MAX_BYTES`) is never exceeded in
    memory. Raises TooLarge beyond it, InvalidRequest for gzip that is broken or an encoding we do not read.
    """
    limit = settings.API_BODY_MAX_BYTES if limit is None else limit
    encoding = request.META.get("HTTP_CONTENT_ENCODING", "").strip().lower()
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise InvalidRequest(
            "unsupported_encoding", f"Content-Encoding {encoding[:40]!r}: only gzip is read."
        )
    declared = _declared_length(request)
    stream = _stream(request)
    if declared is not None and declared > limit:
        _drain(stream, limit)
        raise _too_large(limit)
    chunks = _bounded(stream, limit)
    return b"".join(_gunzip(chunks, limit) if "gzip" in encoding else chunks)


class ChunkedBodyMiddleware:
    """Lets DRF see that a chunked request has a body: it takes one that declares no length for empty."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request."""
        if "HTTP_TRANSFER_ENCODING" in request.META and _declared_length(request) is None:
            request.META.pop("CONTENT_LENGTH", None)
            request.META["HTTP_CONTENT_LENGTH"] = "1"  # where DRF looks next
        return self.get_response(request)


def _declared_length(request: HttpRequest) -> int | None:
    try:
        return int(request.META.get("CONTENT_LENGTH") or "")
    except ValueError:
        return None


def _stream(request: HttpRequest) -> IO[bytes]:
    """The body's bytes. Django takes a chunked body, which declares no length, for an empty one."""
    if (
        _declared_length(request) is None
        and "chunked" in request.META.get("HTTP_TRANSFER_ENCODING", "").lower()
    ):
        raw: IO[bytes] = request.META["wsgi.input"]
        return raw
    return request  # type: ignore[return-value]


def _bounded(stream: IO[bytes], limit: int) -> Iterator[bytes]:
    total = 0
    while chunk := stream.read(CHUNK):
        total += len(chunk)
        if total > limit:
            _drain(stream, limit)
            raise _too_large(limit)
        yield chunk


def _gunzip(chunks: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Unpack; a bomb is noticed after `limit` bytes have come out, whatever it would have grown to."""
    unpacker = zlib.decompressobj(_GZIP)
    total, members = 0, 1
    for chunk in chunks:
        pending = chunk
        while pending:
            try:
                piece = unpacker.decompress(pending, min(PIECE, limit - total + 1))
            except zlib.error as error:
                raise InvalidRequest("invalid_gzip", "The body is not valid gzip.") from error
            total += len(piece)
            if total > limit:
                raise _too_large(limit)
            yield piece
            pending = unpacker.unconsumed_tail
            if unpacker.eof and unpacker.unused_data:  # a gzip file may have several members
                pending, unpacker = unpacker.unused_data, zlib.decompressobj(_GZIP)
                members += 1
                if members > MEMBERS_MAX:
                    raise InvalidRequest("invalid_gzip", f"A gzip body may have {MEMBERS_MAX} members.")
    if not unpacker.eof:
        raise InvalidRequest("invalid_gzip", "The gzip body ends too early.")


def _drain(stream: IO[bytes], limit: int) -> None:
    left = limit * DRAIN_FACTOR
    while left > 0 and (chunk := stream.read(CHUNK)):
        left -= len(chunk)


def _too_large(limit: int) -> TooLarge:
    return TooLarge("body_too_large", f"A body may have {limit:,} bytes, unpacked too.")
