"""Where this installation lives and what its environment variables say."""

from __future__ import annotations

from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()

VAR_DIR = Path(env.str("TOLLGATE_VAR", "") or BASE_DIR / "var").resolve()
"""Data, logs and keys of this installation; `TOLLGATE_VAR` moves it."""

METRICS_DIR = Path(env.str("PROMETHEUS_MULTIPROC_DIR", "") or VAR_DIR / "metrics").resolve()
"""Where the web processes of this machine keep what they count; may be emptied while none runs."""

DATABASE_URL: str = env.str("DATABASE_URL", "")
"""Your own PostgreSQL; empty means the embedded one."""

REDIS_URL: str = env.str("REDIS_URL", "")
"""Your own Redis; empty means the embedded one."""

HOST: str = env.str("HOST", "127.0.0.1")
"""Where the web server listens; the page that it shows may be asked for by this name."""
