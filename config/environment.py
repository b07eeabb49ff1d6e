"""Where this installation lives and what its environment variables say."""

from __future__ import annotations

from pathlib import Path

import environ

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()

VAR_DIR = Path(env.str("TOLLGATE_VAR", "") or BASE_DIR / "var").resolve()
"""Data, logs and keys of this installation; `TOLLGATE_VAR` moves it."""

DATABASE_URL: str = env.str("DATABASE_URL", "")
"""Your own PostgreSQL; empty means the embedded one."""

REDIS_URL: str = env.str("REDIS_URL", "")
"""Your own Redis; empty means the embedded one."""

HOST: str = env.str("HOST", "127.0.0.1")
"""Where the web server listens; the page that it shows may be asked for by this name."""
