"""What the database refuses, as a sentence for the caller who caused it.

Verbs check first and say it best; this is the net under them, for what two callers do at once.
"""

from __future__ import annotations

import re
from typing import Any, Final

import psycopg
from django.db import DatabaseError, InterfaceError, OperationalError

from core.errors import Conflict, InvalidRequest, TollgateError, Unprocessable

_AWAY: Final = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError)
_DETAIL = re.compile(r"Key \((?P<columns>[^)]*)\)=")
_CONSTRAINTS: dict[str, tuple[type[TollgateError], str, str, str | None]] = {}
# SQLSTATEs (PostgreSQL, appendix A) that only a request's content can bring about.
_OF_STATE: Final[dict[str, tuple[type[TollgateError], str, str]]] = {
    "23001": (Conflict, "append_only", "What is recorded stays as it is; correct it with a new record."),
    "23502": (InvalidRequest, "required", "A required value is missing."),
    "23503": (
        Unprocessable,
        "unknown_reference",
        "What it refers to is not there, or it is still referred to.",
    ),
    "23505": (Conflict, "already_exists", "There is one with this value already."),
    "23514": (InvalidRequest, "invalid_value", "A value is outside of what is allowed."),
    "23P01": (Conflict, "overlap", "It overlaps with one that is there already."),
    "22001": (InvalidRequest, "too_long", "A text is too long."),
    "22003": (InvalidRequest, "number_out_of_range", "A number is outside of what can be stored."),
    "22008": (InvalidRequest, "invalid_instant", "An instant is outside of what can be stored."),
    "22021": (InvalidRequest, "invalid_text", "A text has a character that cannot be stored."),
    "22P05": (InvalidRequest, "invalid_text", "A text has a character that cannot be stored."),
    "P0001": (Conflict, "unchangeable", "What is recorded stays as it is; correct it with a new record."),
    "40001": (Conflict, "busy", "Another request changed the same thing at the same moment; try again."),
    "40P01": (Conflict, "busy", "Another request changed the same thing at the same moment; try again."),
    "55P03": (Conflict, "busy", "Another request holds the same thing; try again."),
}


class Unavailable(TollgateError):
    """The database is away or too busy; the same request may be sent again (503)."""

    status = 503


def explain_constraint(
    name: str, error: type[TollgateError], code: str, message: str, param: str | None = None
) -> None:
    """Say what a violation of the constraint `name` means; called once, beside the verbs it guards."""
    _CONSTRAINTS[name] = (error, code, message, param)


def explain_database_error(exception: DatabaseError | psycopg.Error) -> TollgateError | None:
    """The caller's error behind a database error, Django's or the driver's own; None when it is ours."""
    cause: Any = exception if isinstance(exception, psycopg.Error) else exception.__cause__
    state: str | None = getattr(cause, "sqlstate", None)
    if state is None:
        return _without_state(exception)
    if state[:2] in ("08", "53", "57"):
        return Unavailable("unavailable", "The database is not available; send the same request again.")
    name = cause.diag.constraint_name or ""
    if name in _CONSTRAINTS:
        error, code, message, param = _CONSTRAINTS[name]
        return error(code, message, param)
    if state not in _OF_STATE:
        return None
    kind, code, message = _OF_STATE[state]
    return kind(code, message, _column(cause.diag))


def _without_state(exception: DatabaseError | psycopg.Error) -> TollgateError | None:
    if isinstance(exception, _AWAY):
        return Unavailable("unavailable", "The database is not available; send the same request again.")
    if "NUL" in str(exception):  # psycopg refuses it before it asks the server
        return InvalidRequest("invalid_text", "A text may not contain the NUL character.")
    return None


def _column(diag: Any) -> str | None:
    if diag.column_name:
        return str(diag.column_name)
    found = _DETAIL.match(diag.message_detail or "")
    return found["columns"].split(", ")[-1].removesuffix("_id") if found else None
