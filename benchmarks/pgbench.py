"""TPC-B by pgbench: what the same server does with short transactions of five statements."""

from __future__ import annotations

import re
import subprocess
from typing import Final

from benchmarks.installation import Installation
from config.embedded.postgres import BIN_DIR

DATABASE: Final = "pgbench"
SCALE: Final = 32
CLIENTS: Final = 32
_TPS: Final = re.compile(r"tps = ([0-9.]+)")


class TpcB:
    """A database of pgbench's own on the server of an installation."""

    def __init__(self, installation: Installation, clients: int = CLIENTS) -> None:
        self._load = ["-c", str(clients), "-j", str(min(clients, 2)), "-M", "prepared", "-n"]
        socket_dir = installation.postgres.socket_dir
        self._target = ["-h", str(socket_dir), "-U", "tollgate"]
        self._run("createdb", DATABASE)
        self._run("pgbench", "-i", "-q", "-s", str(SCALE), DATABASE)

    def per_second(self, seconds: float) -> float:
        """Transactions per second over so many seconds (whole ones)."""
        output = self._run("pgbench", *self._load, "-s", str(SCALE), "-T", str(round(seconds)), DATABASE)
        found = _TPS.search(output)
        if found is None:
            raise RuntimeError(f"pgbench gave no figure: {output}")
        return float(found[1])

    def _run(self, program: str, *words: str) -> str:
        command = [str(BIN_DIR / program), *self._target, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")
        return done.stdout
