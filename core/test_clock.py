"""A clock that stands where it is put, in every process: for tests, demo history and outside checks.

Only with `TOLLGATE_TEST_CLOCK=1`; without it nothing here runs and the time is the system's. The instant is
a row, read each time somebody asks for the time, so that no process ever sees an older one.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from threading import local
from typing import Any

from dateutil.relativedelta import relativedelta
from django.apps import apps
from django.conf import settings
from django.db import DatabaseError

from core import clock
from core.errors import InvalidRequest, NotFound
from core.partitions import ensure_partitions

FIRST_YEAR, LAST_YEAR = 2000, 2199
_last = local()


def is_enabled() -> bool:
    """Whether this installation lets its clock be set."""
    return bool(settings.TOLLGATE_TEST_CLOCK)


def install() -> None:
    """Take this process's time from the stored instant; nothing without the setting."""
    if is_enabled():
        clock.use(_stored)


def set_test_clock(instant: datetime) -> None:
    """Put the clock of all processes to `instant` and make the partitions around it.

    Raises NotFound where the setting is off, InvalidRequest for years that no partition should be made for.
    """
    if not is_enabled():
        raise NotFound("not_found", "This installation keeps the real time.")
    if not FIRST_YEAR <= instant.year <= LAST_YEAR:
        raise InvalidRequest("invalid_instant", f"The year must be {FIRST_YEAR} to {LAST_YEAR}.", "now")
    ensure_partitions(instant - relativedelta(months=1), instant + relativedelta(months=3))
    _rows().update_or_create(id=1, defaults={"now": instant})


def _stored() -> datetime:
    """The stored instant, or the system's time while none is; in a transaction that failed, the last one."""
    with suppress(DatabaseError):
        _last.instant = _rows().values_list("now", flat=True).first()
    return getattr(_last, "instant", None) or clock.system_now()


def _rows() -> Any:
    """Looked up late: this module is loaded before the models are."""
    return apps.get_model("core", "TestClock").objects
