"""Short socket paths, wherever the project's folder lies (the system allows about 100 characters)."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from config.embedded.account import Account
from config.embedded.errors import ServerError

_LENGTH_MAX = 60


def socket_folder(var_dir: Path) -> Path:
    """The folder for the sockets of the servers under `var_dir`, by a hash of its path."""
    digest = hashlib.sha256(f"{os.geteuid()}:{var_dir}".encode()).hexdigest()[:12]
    temporary = tempfile.gettempdir()
    return Path(temporary if len(temporary) <= _LENGTH_MAX else "/tmp") / f"tollgate-{digest}"  # noqa: S108


def make_socket_folder(folder: Path, account: Account) -> None:
    """Make the folder, closed to others; ServerError when somebody else has made one of that name."""
    try:
        folder.mkdir(mode=0o700)
        account.own(folder)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in (account.uid, os.geteuid()):
            raise ServerError(f"{folder} belongs to somebody else; remove it and try again.") from None
        account.own(folder)
    folder.chmod(0o700)
