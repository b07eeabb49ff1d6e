"""Logs: one JSON object a line with the request's id; readable lines in the demo or with LOG_FORMAT=console.

What is logged names paths, statuses and ids, never bodies, headers or keys; what a library or an exception
brings along is searched for secrets on its way out (`core.redaction`).
"""

from __future__ import annotations

from pathlib import Path

import structlog

from config.environment import DATABASE_URL, REDIS_URL, env
from config.environment import METRICS_DIR as _METRICS_DIR
from config.settings.security import SECRET_KEY
from core.redaction import Redactor, passwords_of

_LEVEL: str = env.str("LOG_LEVEL", "INFO")
LOG_CALLS: str = env.str("LOG_CALLS", "slow")
"""`all`: a line for each charge, hold and check; `slow`: for those that take long or fail by our fault."""
METRICS_DIR: Path = _METRICS_DIR
"""Where the web processes of this machine count together."""
_FORMAT: str = "console" if env.bool("TOLLGATE_DEMO", False) else "json"
_IS_CONSOLE: bool = env.str("LOG_FORMAT", _FORMAT) == "console"

_secrets: list[str] = [SECRET_KEY, *passwords_of(DATABASE_URL, REDIS_URL)]
_shared: list[structlog.types.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_renderer: structlog.types.Processor = (
    structlog.dev.ConsoleRenderer(colors=False) if _IS_CONSOLE else structlog.processors.JSONRenderer()
)

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _shared,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                Redactor(_secrets),
                _renderer,
            ],
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": _LEVEL},
    "loggers": {
        "django": {"handlers": [], "level": _LEVEL, "propagate": True},
        "django.server": {"handlers": [], "level": _LEVEL, "propagate": True},
        "django.request": {"level": "ERROR"},  # refusals are answers, not events of this program
    },
}

structlog.configure(
    processors=[
        *_shared,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.StackInfoRenderer(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
