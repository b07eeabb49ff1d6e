"""The hold of a call that stands at the gateway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final

from accounts.credentials import IntegrationKeyRecord
from billing.charging import (
    Authorized,
    ChargeRequest,
    Denied,
    Failed,
    HoldTerms,
    Mode,
    Outcome,
)
from billing.models import Authorization
from core import clock
from core.errors import Conflict
from core.ids import hot_id
from metering.catalogue import MeterCatalogue
from metering.events import EventInput

SOURCE: Final = "gateway"


@dataclass(slots=True)
class Held:
    """The call may go on: its authorization's public id, and what its payer may still spend."""

    authorization: str
    available: Decimal


def hold_request(
    read: Callable[[MeterCatalogue], EventInput],
    meters: MeterCatalogue,
    credential: IntegrationKeyRecord,
    lifetime: timedelta,
) -> ChargeRequest:
    """What is asked of the charge path: to hold what the event would cost; the event's key is the hold's.

    The event is read by `meters` as they were at the credential's version, and again by newer ones.
    """
    terms = HoldTerms(lifetime)
    return ChargeRequest(read(meters), Mode.HOLD, SOURCE, credential, hold=terms, read=read)


def held(outcome: Outcome) -> Held | Denied | Failed:
    """What came of it. Asks the database about a replay only.

    A gateway that asks again for the same call gets the same hold, while it is open. Afterwards the key is
    used up: whoever could send it again would call for nothing.
    """
    if isinstance(outcome, Denied | Failed):
        return outcome
    assert isinstance(outcome, Authorized), "a hold is granted, denied or in error"
    if outcome.is_replay and (problem := _spent(outcome)) is not None:
        return Failed(problem)
    return Held(hot_id("auth", outcome.customer_id, outcome.id), outcome.available)


def _spent(again: Authorized) -> Conflict | None:
    """The error of a key whose call is over."""
    row = Authorization.objects.get(customer_id=again.customer_id, id=again.id)
    status = row.status_at(clock.now())
    if status == Authorization.Status.AUTHORIZED:
        return None
    return Conflict(
        f"authorization_{status}", f"The call of this X-Request-Id is over: {status}.", "X-Request-Id"
    )
