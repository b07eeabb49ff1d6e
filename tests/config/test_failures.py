"""What the machine refuses is one sentence; a fault of the program keeps its traceback."""

from __future__ import annotations

import errno

import pytest
from django.db import OperationalError

from config.embedded import ServerError
from config.embedded.errors import DISK_FULL, reason, spoken
from config.failures import sentence

MISSING = "The package typst is missing; run `make setup`."


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ServerError("PostgreSQL does not stop."), "PostgreSQL does not stop."),
        (OSError(errno.ENOSPC, "No space left on device"), DISK_FULL),
        (PermissionError(errno.EACCES, "Permission denied", "var/up.lock"), "Permission denied: var/up.lock"),
        (OperationalError("could not extend file: No space left on device"), DISK_FULL),
        (
            ModuleNotFoundError("No module named 'typst'", name="typst"),
            MISSING,
        ),
        (
            ImportError("libpq.so.5: cannot open shared object file: No such file or directory"),
            "The system library libpq.so.5 is missing; install it and try again.",
        ),
        (OperationalError("connection refused\n"), "The database does not answer: connection refused"),
    ],
)
def test_what_the_machine_refuses_is_one_sentence(error: Exception, said: str) -> None:
    assert sentence(error) == said


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), OSError(errno.EIO, "I/O error")])
def test_a_fault_of_the_program_keeps_its_traceback(error: Exception) -> None:
    assert sentence(error) is None


def test_long_last_words_are_cut_to_their_end() -> None:
    assert reason("It failed", "x" * 1000 + " the end").endswith("the end")
    assert len(reason("It failed", "x" * 1000)) < 400


def test_a_server_that_dies_silently_is_reported_as_such() -> None:
    assert reason("It failed", "") == "It failed: it gave no reason"


def test_a_refusal_of_the_system_names_its_file() -> None:
    with pytest.raises(ServerError, match=r"^Redis: Permission denied: /var/x$"), spoken("Redis"):
        raise PermissionError(errno.EACCES, "Permission denied", "/var/x")


def test_a_full_disk_is_called_one() -> None:
    with pytest.raises(ServerError, match=r"^The disk is full"), spoken("Redis"):
        raise OSError(errno.ENOSPC, "No space left on device")
