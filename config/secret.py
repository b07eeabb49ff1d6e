"""A secret that this installation makes for itself, once."""

from __future__ import annotations

import os
import secrets
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path


def kept_secret(path: Path) -> str:
    """The secret in `path`; made there (readable by its owner only) if the file is missing.

    Where that cannot be, the secret is this process's alone, enough for a command; a warning says so.
    """
    try:
        return _kept(path)
    except OSError as error:
        warnings.warn(f"No SECRET_KEY, and {path} cannot be kept: {error.strerror}.", stacklevel=2)
        return secrets.token_urlsafe(50)


def _kept(path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent) as draft:
            draft.write(secrets.token_urlsafe(50))
            draft.flush()
            with suppress(FileExistsError):  # another process was first: then its secret is the one
                os.link(draft.name, path)
    return path.read_text()
