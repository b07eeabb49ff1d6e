"""Messages that nobody can work off are put aside, where they stop nothing and are not lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, Final

import structlog
from celery import current_app
from django.db import IntegrityError, transaction

from core import clock
from core.errors import Conflict, Unprocessable
from core.models import JobRun, ParkedMessage
from core.redaction import redact, redact_text

log = structlog.get_logger(__name__)

Reason, Status = ParkedMessage.Reason, ParkedMessage.Status
BODY_MAX: Final = 1 << 20
"""Of a larger message only the beginning is kept; it can be dropped, not sent again."""
HEADERS_KEPT: Final = frozenset(
    {"task", "id", "argsrepr", "kwargsrepr", "retries", "origin", "lang", "due_at"}
)


def park(
    reason: ParkedMessage.Reason,
    error: str,
    *,
    task: str = "",
    message_id: str = "",
    attempts: int = 1,
    arguments: Mapping[str, Any] | None = None,
    body: bytes | None = None,
    content_type: str = "",
    content_encoding: str = "",
    headers: Mapping[str, Any] | None = None,
) -> ParkedMessage | None:
    """Put a message aside; None when it lies there already."""
    fields = {
        "message_id": (message_id or sha256(body or error.encode()).hexdigest())[:64],
        "task": redact_text(task)[:200],
        "reason": reason,
        "error": redact_text(error)[:500],
        "attempts": attempts,
        "arguments": arguments,
        "body": None if body is None else body[:BODY_MAX],
        "content_type": content_type[:100],
        "content_encoding": content_encoding[:100],
        "headers": redact({k: v for k, v in (headers or {}).items() if k in HEADERS_KEPT}),
    }
    try:
        with transaction.atomic():
            made = ParkedMessage.objects.create(**fields, parked_at=clock.system_now())
    except IntegrityError:
        return None
    log.error("message_parked", message=made.public_id, task=made.task, reason=reason.value, error=made.error)
    return made


def send_again(message: ParkedMessage, by: str) -> ParkedMessage:
    """Put it into the queue once more; raises Conflict when it is resolved, Unprocessable if it cannot be."""
    if message.body is not None and len(message.body) >= BODY_MAX:
        raise Unprocessable("message_cut", "Only the beginning of this message was kept; drop it.")
    return _resolve(message, by, Status.SENT_AGAIN, lambda: _publish(message))


def drop(message: ParkedMessage, by: str) -> ParkedMessage:
    """Leave it for good; raises Conflict when it is resolved already."""
    return _resolve(message, by, Status.DROPPED, lambda: None)


def attempts_of(message_id: str) -> int:
    """How often the message was begun and failed, or its worker died."""
    if not message_id:
        return 0
    bad = (JobRun.Status.FAILED, JobRun.Status.LOST)
    return JobRun.objects.filter(message_id=message_id, status__in=bad).count()


def _resolve(
    message: ParkedMessage, by: str, status: ParkedMessage.Status, work: Callable[[], None]
) -> ParkedMessage:
    with transaction.atomic():
        locked = ParkedMessage.objects.select_for_update().get(pk=message.pk)
        if locked.status != Status.PARKED:
            raise Conflict(
                "message_resolved", f"This message is {locked.get_status_display().lower()} already."
            )
        locked.status, locked.resolved_at, locked.resolved_by = status, clock.system_now(), by
        locked.save(update_fields=["status", "resolved_at", "resolved_by"])
        work()  # last: if the queue is away, nothing has happened
    return locked


def _publish(message: ParkedMessage) -> None:
    try:
        if message.body is None:
            meant = message.arguments or {}
            args, kwargs = meant.get("args", []), meant.get("kwargs", {})
            current_app.send_task(message.task, args, kwargs, retry=False)
            return
        with current_app.producer_pool.acquire(block=True) as producer:
            producer.publish(
                bytes(message.body),
                routing_key=current_app.conf.task_default_queue,
                exchange="",
                content_type=message.content_type or None,
                content_encoding=message.content_encoding or None,
                headers=dict(message.headers),
                retry=False,
            )
    except Exception as error:
        raise Unprocessable("queue_away", "The queue does not answer; try again later.") from error
