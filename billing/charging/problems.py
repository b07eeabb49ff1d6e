"""What keeps a request from being charged at all, before money is looked at.

A charge gets the error; a reported event is quarantined, because it has happened and must not be lost.
"""

from __future__ import annotations

from datetime import datetime

from accounts.models import BillingEntity
from billing.charging.outcomes import Quarantined
from billing.charging.planning import Planned
from billing.charging.requests import Mode
from core.errors import AuthenticationFailed, PermissionDenied, TollgateError, Unprocessable
from metering.accept import accept_window


def problem_of(item: Planned, now: datetime) -> TollgateError | Quarantined | None:
    """The request's error, the reason to quarantine it, or None to go on."""
    problem = item.attribution.problem or _closed(item) or _out_of_window(item, now)
    if problem is None or item.request.mode is Mode.ASK or isinstance(problem, AuthenticationFailed):
        return problem
    return Quarantined(problem.code, problem.message)


def _closed(item: Planned) -> TollgateError | None:
    payer = item.attribution.payer
    if payer is not None and payer.status == BillingEntity.Status.CLOSED:
        return PermissionDenied("closed", "This billing entity is closed.", "billing_entity")
    return None


def _out_of_window(item: Planned, now: datetime) -> TollgateError | None:
    if item.request.is_any_age:
        return None
    reason = accept_window(item.request.event.occurred_at, now)
    if reason is None:
        return None
    return Unprocessable(reason, "occurred_at is outside the accept window.", "occurred_at")
