"""Under which system account a server runs.

PostgreSQL refuses to run as root. Started by root, it runs as an account without rights; where that
account cannot enter the project's folder (say, below a home folder that is closed to others), the one
capability that opens it is handed over with `setpriv`, instead of opening the folder to everybody.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from config.embedded.errors import ServerError

_CANDIDATES = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """The user and group ids a server runs under."""

    uid: int
    gid: int

    @property
    def is_ours(self) -> bool:
        """Whether it is the account of this very process."""
        return self.uid == os.geteuid()

    def own(self, path: Path) -> None:
        """Make `path` (a file or an empty folder) this account's."""
        if not self.is_ours:
            os.chown(path, self.uid, self.gid)

    def command(self, arguments: list[str], *paths: Path) -> list[str]:
        """`arguments` run under this account, able to reach `paths`."""
        if self.is_ours:
            return arguments
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise ServerError(
                "PostgreSQL cannot run as root, and setpriv (package util-linux) is not installed."
            )
        switch = [setpriv, f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if not all(_is_open_to_others(path) for path in paths):
            # The bit lets access(2) see the capability too: PostgreSQL looks for its own files with it.
            switch += ["--securebits=+no_setuid_fixup"]
            switch += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        return [*switch, "--", *arguments]


def account_for(folder: Path) -> Account:
    """The owner of `folder` if it exists, else this process's account, or for root one without rights."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid())
    if folder.exists() and folder.stat().st_uid != 0:
        return Account(folder.stat().st_uid, folder.stat().st_gid)
    for name in _CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise ServerError(
        "PostgreSQL cannot run as root, and there is no account named postgres or nobody to run it."
    )


def _is_open_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
