"""The two servers of this installation."""

from __future__ import annotations

from config.embedded.postgres import Postgres
from config.embedded.redis import Redis
from config.environment import VAR_DIR

POSTGRES = Postgres(VAR_DIR)
REDIS = Redis(VAR_DIR)
