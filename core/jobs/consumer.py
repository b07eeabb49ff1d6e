"""The worker's ear: says every few seconds that it lives, and parks what it cannot even hand on.

Celery itself would log such a message, throw it away and go on.
"""

from __future__ import annotations

from typing import Any

import structlog
from celery import bootsteps
from celery.worker.consumer import Consumer

from core import clock
from core.jobs.beating import EVERY, note_alive
from core.jobs.envelopes import install
from core.jobs.parking import Reason, park
from core.jobs.task import park_unread
from core.models import Heartbeat
from core.redaction import error_sentence
from core.sql_jobs import let_go

log = structlog.get_logger(__name__)


class ParkingConsumer(Consumer):
    """Celery's consumer with a place for messages that nobody understands."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        install()
        super().__init__(*args, **kwargs)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """The body cannot be decoded."""
        _keep(lambda: park_unread(message, error_sentence(exc)))
        message.ack()

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """It is no task's message."""
        _keep(lambda: park_unread(message, "This is not the message of a task."))
        message.reject()

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """No task has this name: an older or newer version sent it."""
        headers = message.headers if isinstance(message.headers, dict) else {}
        name = str(headers.get("task") or (body or {}).get("task", ""))
        _keep(
            lambda: park(
                Reason.UNKNOWN_TASK,
                f"There is no task {name[:120]!r} here.",
                task=name,
                message_id=str(headers.get("id", "")),
                body=message.body if isinstance(message.body, bytes) else str(message.body).encode(),
                content_type=str(message.content_type or ""),
                content_encoding=str(message.content_encoding or ""),
                headers=headers,
            )
        )
        message.reject()

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Its arguments or their format are not what a task takes."""
        _keep(lambda: park_unread(message, error_sentence(exc)))
        message.reject()


def _keep(work: Any) -> None:
    """Park, and let the worker go on whatever happens."""
    try:
        work()
    except Exception as error:  # the database is away: one message must not end the worker
        log.error("message_not_parked", error=type(error).__name__)
    finally:
        let_go()


class AliveStep(bootsteps.StartStopStep):
    """Writes the worker's heartbeat while it listens to the queue."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **kwargs: Any) -> None:
        super().__init__(parent, **kwargs)
        self.timer: Any = None
        self.started_at = clock.system_now()

    def start(self, parent: Any) -> None:
        """From now on, every few seconds."""
        self._beat()
        self.timer = parent.timer.call_repeatedly(EVERY.total_seconds(), self._beat)

    def stop(self, parent: Any) -> None:
        """It listens no more."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def _beat(self) -> None:
        note_alive(Heartbeat.Kind.WORKER, self.started_at)
