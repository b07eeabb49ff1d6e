"""The command lines of Tollgate's own processes. Run these under your own supervisor, too."""

from __future__ import annotations

import sys

from config.environment import BASE_DIR, VAR_DIR, env

MANAGE = [sys.executable, str(BASE_DIR / "manage.py")]


def web(host: str, port: int) -> list[str]:
    """The web server: `WEB_WORKERS` processes (2), each with an event loop and `WEB_THREADS` threads (32)."""
    return [
        *(sys.executable, "-m", "granian", "config.asgi:application"),
        *("--interface", "asginl", "--no-ws", "--http", "1"),
        *("--host", host, "--port", str(port)),
        *("--workers", env.str("WEB_WORKERS", "2")),
        *("--respawn-failed-workers", "--respawn-interval", "0.5", "--workers-kill-timeout", "8"),
        *("--log-level", "error"),  # the application logs for itself
    ]


def worker() -> list[str]:
    """The Celery worker: what follows a commit, and what is due."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "WARNING"]
    return [sys.executable, "-m", "celery", "-A", "config", "worker", "--concurrency", "2", *quiet]


def beat() -> list[str]:
    """Celery's clock, which puts due tasks into the queue. One per installation."""
    kept = ["--schedule", str(VAR_DIR / "beat"), "--pidfile=", "--loglevel", "WARNING"]
    return [sys.executable, "-m", "celery", "-A", "config", "beat", *kept]


def traffic(url: str) -> list[str]:
    """The demo's callers."""
    return [*MANAGE, "demo_traffic", "--url", url]
