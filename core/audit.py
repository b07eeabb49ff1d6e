"""Who changes things, from where: kept with every row of the audit trail (django-pghistory's context)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Any

import pghistory


class Source(StrEnum):
    """The door that a change came through."""

    UI = "ui"
    API = "api"
    COMMAND = "command"
    TASK = "task"


def audited(
    source: Source, actor: str | None = None, request_id: str | None = None
) -> AbstractContextManager[Any]:
    """Note with every change made inside who made it (`actor`: public id or e-mail address) and where."""
    context: AbstractContextManager[Any] = pghistory.context(
        source=source.value, actor=actor, request_id=request_id
    )
    return context
