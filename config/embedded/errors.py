"""What goes wrong with the embedded servers, in one sentence for whoever typed the command."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

_WORDS_MAX = 300
DISK_FULL = "The disk is full; free some space and try again."


class ServerError(RuntimeError):
    """A server could not be started or stopped; the message is one sentence fit for a terminal."""


def reason(failure: str, output: str) -> str:
    """One sentence for `failure`, out of a server's last words."""
    if "No space left on device" in output:
        return DISK_FULL
    if "cannot open shared object file" in output:
        library = output.split(": cannot open shared object file")[0].rsplit(" ", 1)[-1]
        return f"The system library {library} is missing; install it and try again."
    words = " ".join(output.split())
    return f"{failure}: {words[-_WORDS_MAX:] or 'it gave no reason'}"


@contextmanager
def spoken(server: str) -> Iterator[None]:
    """Turn what the operating system refuses inside the block into a ServerError."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise ServerError(DISK_FULL) from error
        words = [server, str(error.strerror or error), str(error.filename or "")]
        raise ServerError(": ".join(word for word in words if word)) from error
