"""What keeps a request from being charged at all, before money is looked at.

A charge gets the error; a reported event is quarantined, because it has happened and must not be lost.
"""

from __future__ import annotations

from accounts.models import BillingEntity
from billing.charging.outcomes import Quarantined
from billing.charging.planning import Planned
from billing.charging.requests import Mode
from core.errors import KEYS_FAULT, PermissionDenied, TollgateError


def problem_of(item: Planned) -> TollgateError | Quarantined | None:
    """The request's error, the reason to quarantine it, or None to go on."""
    problem = item.attribution.problem or _closed(item)
    if problem is None or item.request.mode is not Mode.REPORT or isinstance(problem, KEYS_FAULT):
        return problem
    return Quarantined(problem.code, problem.message)


def _closed(item: Planned) -> TollgateError | None:
    """A closed payer buys nothing more. What it was promised before has happened, and is charged."""
    payer, terms = item.attribution.payer, item.request.authorization
    if payer is None or payer.status != BillingEntity.Status.CLOSED:
        return None
    if terms is None or terms.lease_payer_id not in (None, payer.id):
        return PermissionDenied("closed", "This billing entity is closed.", "billing_entity")
    return None
