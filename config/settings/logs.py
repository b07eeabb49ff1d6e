"""Logs: one JSON object a line (or readable lines with LOG_FORMAT=console), with the request's id.

What is logged names paths, statuses and ids, never bodies, headers or keys.
"""

from __future__ import annotations

import structlog

from config.environment import env

_LEVEL: str = env.str("LOG_LEVEL", "INFO")
_IS_CONSOLE: bool = env.str("LOG_FORMAT", "json") == "console"

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
