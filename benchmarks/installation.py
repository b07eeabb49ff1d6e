"""A Tollgate of its own, apart from the one in var/: PostgreSQL, Redis and a web server, for benchmarks and
for tests that kill things."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.request import urlopen

from config.embedded import Postgres, Redis
from config.embedded.sockets import socket_folder
from config.environment import BASE_DIR
from config.supervisor.groups import end_groups, signal_group
from config.supervisor.programs import MANAGE, web

HOST: Final = "127.0.0.1"
NOT_OURS: Final = (
    "DATABASE_URL",
    "REDIS_URL",
    "TOLLGATE_TEST_CLOCK",
    "TOLLGATE_DEMO",
    "PROMETHEUS_MULTIPROC_DIR",
)
_READY_SECONDS_MAX: Final = 60


class Installation:
    """Its data is under `var_dir`; a context manager that starts it with empty tables and ends all of it."""

    def __init__(self, var_dir: Path) -> None:
        self.var_dir = var_dir.resolve()
        self.postgres = Postgres(self.var_dir)
        self.redis = Redis(self.var_dir)
        self.port = 0
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Start PostgreSQL and Redis and make the tables."""
        try:
            self.postgres.start()
            self.redis.start()
            self.run([*MANAGE, "migrate", "--verbosity", "0"])
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything that was started."""
        self.stop(*self._running)
        self.redis.stop()
        self.postgres.stop()
        shutil.rmtree(socket_folder(self.var_dir), ignore_errors=True)

    def run(self, command: list[str]) -> str:
        """Run a program in this installation to its end; what it printed."""
        environment = self.environment()
        done = subprocess.run(
            command, cwd=BASE_DIR, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    def run_module(self, name: str, *words: str) -> str:
        """Run `python -m NAME` in this installation to its end; what it printed."""
        return self.run([sys.executable, "-m", name, *words])

    def launch(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        """Start a program that writes to NAME.log, unless it runs."""
        if name in self._running:
            return self._running[name]
        with (self.var_dir / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                command,
                cwd=BASE_DIR,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self._running[name]

    def stop(self, *names: str) -> None:
        """End programs in order, as far as they run."""
        processes = [self._running.pop(name) for name in names if name in self._running]
        end_groups([process.pid for process in processes], 5)
        for process in processes:
            process.wait()

    def kill(self, name: str) -> None:
        """End a program with all its children, at once."""
        signal_group(self._running[name].pid, signal.SIGKILL)
        self.stop(name)

    def start_web(self) -> None:
        """Start the web server as `manage.py up` does, at a free port; return when it is ready."""
        self.port = self.port or free_port()
        process = self.launch("web", web(HOST, self.port))
        deadline = time.monotonic() + _READY_SECONDS_MAX
        while not self.is_ready():
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError(
                    f"The web server does not answer: {(self.var_dir / 'web.log').read_text()}"
                )
            time.sleep(0.05)

    def is_ready(self) -> bool:
        """Whether the web server answers and finds its tables."""
        try:
            with urlopen(f"http://{HOST}:{self.port}/readyz", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    @property
    def web_group(self) -> int:
        """The process group of the web server and its workers."""
        return self._running["web"].pid

    def environment(self) -> dict[str, str]:
        """The environment of programs that are to run in this installation."""
        kept = {name: value for name, value in os.environ.items() if name not in NOT_OURS}
        return {**kept, "TOLLGATE_VAR": str(self.var_dir), "LOG_LEVEL": "WARNING"}


def free_port() -> int:
    """A port on this machine that nobody listens at."""
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
