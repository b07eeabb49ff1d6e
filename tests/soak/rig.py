"""All of Tollgate's processes, each of which may be killed: PostgreSQL, Redis, web, worker and beat."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import psutil

from benchmarks.installation import Installation
from config.environment import BASE_DIR
from config.supervisor.groups import end_groups, signal_group
from config.supervisor.programs import MANAGE

QUEUE: Final = "tests.soak.fast_queue"
KINDS: Final = ("web worker", "web", "worker", "beat", "redis", "postgres")
_QUIET: Final = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]


@dataclass(frozen=True)
class Kill:
    """A process that was killed at `at`, and how long it was away (seconds)."""

    kind: str
    at: float
    seconds: float


class Rig(Installation):
    """An installation with its jobs. `kill` ends one kind of process without warning, and starts it again."""

    def __init__(self, var_dir: Path, seed: str) -> None:
        super().__init__(var_dir)
        self.kills: list[Kill] = []
        self._chance = random.Random(f"{seed}/kills")
        self._deck: list[str] = []
        self._jobs: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Rig:
        """Start PostgreSQL and Redis and make the tables."""
        super().__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End everything that was started."""
        self.stop_jobs()
        super().__exit__(kind, error, trace)

    def start_jobs(self) -> None:
        """Start Celery's worker and beat, where they do not run."""
        celery = [sys.executable, "-m", "celery", "-A", QUEUE]
        beat = ["beat", "--schedule", str(self.var_dir / "beat"), "--pidfile=", "--loglevel", "WARNING"]
        self._start("worker", [*celery, "worker", "--concurrency", "2", *_QUIET])
        self._start("beat", [*celery, *beat])

    def stop_jobs(self) -> None:
        """End them."""
        end_groups([job.pid for job in self._jobs.values()], 5)
        for job in self._jobs.values():
            job.wait()
        self._jobs.clear()

    def run_due(self) -> None:
        """Run all that is due, here and now."""
        self.run([*MANAGE, "run_due"])

    def reconcile(self) -> list[str]:
        """Let the product reconcile all of it; what it says when something does not agree."""
        command = [*MANAGE, "reconcile", "--full"]
        done = subprocess.run(
            command, cwd=BASE_DIR, env=self.environment(), capture_output=True, text=True, check=False
        )
        return [*done.stdout.splitlines(), *done.stderr.splitlines()] if done.returncode else []

    def kill_next(self) -> Kill:
        """Kill the next one in a random order in which each kind comes as often as the others."""
        if not self._deck:
            self._deck = self._chance.sample(KINDS, len(KINDS))
        kind, at = self._deck.pop(), time.time()
        kills: dict[str, Callable[[], None]] = {
            "web worker": self._kill_web_worker,
            "web": self._kill_web,
            "worker": lambda: self._kill_job("worker"),
            "beat": lambda: self._kill_job("beat"),
            "redis": self._kill_redis,
            "postgres": self._kill_postgres,
        }
        kills[kind]()
        self.kills.append(Kill(kind, at, time.time() - at))
        return self.kills[-1]

    def _kill_web_worker(self) -> None:
        children = psutil.Process(self.web_group).children()
        workers = [child for child in children if "resource_tracker" not in " ".join(child.cmdline())]
        if workers:
            self._chance.choice(workers).kill()

    def _kill_web(self) -> None:
        signal_group(self.web_group, signal.SIGKILL)
        self.stop_web()
        self.start_web()

    def _kill_job(self, name: str) -> None:
        job = self._jobs.pop(name)
        signal_group(job.pid, signal.SIGKILL)
        job.wait()
        self.start_jobs()

    def _kill_redis(self) -> None:
        self.redis.kill9()
        self.redis.start()

    def _kill_postgres(self) -> None:
        self.postgres.kill9()
        self.postgres.start()

    def _start(self, name: str, command: list[str]) -> None:
        if name in self._jobs:
            return
        with (self.var_dir / f"{name}.log").open("ab") as log:
            self._jobs[name] = subprocess.Popen(
                command,
                cwd=BASE_DIR,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
