"""What goes wrong with the embedded servers, in one sentence for whoever typed the command."""

from __future__ import annotations


class ServerError(RuntimeError):
    """A server could not be started or stopped; the message is one sentence fit for a terminal."""


def reason(output: str, otherwise: str) -> str:
    """The sentence that explains a server's last words, or `otherwise`."""
    if "No space left on device" in output:
        return "The disk is full; free some space and try again."
    if "cannot open shared object file" in output:
        library = output.split("cannot open shared object file")[0].rstrip(": ").rsplit(" ", 1)[-1]
        return f"The system library {library.rstrip(':')} is missing; install it and try again."
    return otherwise
