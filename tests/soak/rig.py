"""All of Tollgate's processes, each of which may be killed: PostgreSQL, Redis, web, worker and beat."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.installation import Installation
from config.environment import BASE_DIR
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
    """An installation with its jobs. `kill_next` ends a process without warning, and starts it again."""

    def __init__(self, var_dir: Path, seed: str) -> None:
        super().__init__(var_dir)
        self.kills: list[Kill] = []
        self._chance = random.Random(f"{seed}/kills")
        self._deck: list[str] = []

    def start_jobs(self) -> None:
        """Start Celery's worker and beat, where they do not run."""
        celery = [sys.executable, "-m", "celery", "-A", QUEUE]
        beat = ["beat", "--schedule", str(self.var_dir / "beat"), "--pidfile=", "--loglevel", "WARNING"]
        self.launch("worker", [*celery, "worker", "--concurrency", "2", *_QUIET])
        self.launch("beat", [*celery, *beat])

    def stop_jobs(self) -> None:
        """End them."""
        self.stop("worker", "beat")

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
        workers = [child for child in psutil.Process(self.web_group).children() if _is_worker(child)]
        if workers:
            self._chance.choice(workers).kill()

    def _kill_web(self) -> None:
        self.kill("web")
        self.start_web()

    def _kill_job(self, name: str) -> None:
        self.kill(name)
        self.start_jobs()

    def _kill_redis(self) -> None:
        self.redis.kill9()
        self.redis.start()

    def _kill_postgres(self) -> None:
        self.postgres.kill9()
        self.postgres.start()


def _is_worker(child: psutil.Process) -> bool:
    """Whether it is one of the web server's workers, and there still."""
    try:
        return "resource_tracker" not in " ".join(child.cmdline())
    except psutil.NoSuchProcess:  # it was just made to find something out, or replaced
        return False
