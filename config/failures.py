"""What to say, in one sentence, when a command fails for a reason outside the program."""

from __future__ import annotations

import errno

from django.db import OperationalError

from config.embedded.errors import DISK_FULL, ServerError, reason


def sentence(error: BaseException) -> str | None:
    """The sentence for whoever typed the command; None for a fault of the program itself."""
    if isinstance(error, ServerError):
        return str(error)
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return DISK_FULL
    if isinstance(error, PermissionError):
        return f"Permission denied: {error.filename}"
    if isinstance(error, ModuleNotFoundError):
        return f"The package {error.name} is missing; run `make setup`."
    if isinstance(error, ImportError):
        return reason("A library cannot be loaded", str(error))
    if isinstance(error, OperationalError):
        return reason("The database does not answer", str(error))
    return None
