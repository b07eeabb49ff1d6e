"""PostgreSQL. `DATABASE_URL` names your own; unset means the embedded one under var/."""

from __future__ import annotations

import os
from typing import Any

from config.embedded import ServerError
from config.embedded.installation import POSTGRES
from config.embedded.postgres import NAME
from config.environment import DATABASE_URL, env

_target: dict[str, Any] = (
    env.db_url_config(DATABASE_URL)
    if DATABASE_URL
    else {"NAME": NAME, "USER": NAME, "HOST": str(POSTGRES.socket_dir), "EMBEDDED": True}
)

if DATABASE_URL and not _target.get("ENGINE", "").endswith("postgresql"):
    raise ServerError("DATABASE_URL has to name a PostgreSQL: postgres://user:password@host/database.")

DATABASES = {
    "default": {
        **_target,
        "ENGINE": "config.postgres",
        "CONN_MAX_AGE": None,  # a connection per thread for as long as it stands
        "CONN_HEALTH_CHECKS": True,
        "TEST": {"NAME": f"test_{NAME}_{os.getpid()}"},  # several test runs may share one server
    }
}

AUTH_USER_MODEL = "accounts.User"
SESSION_ENGINE = "django.contrib.sessions.backends.db"
