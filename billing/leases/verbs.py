"""Draw, report and return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import uuid4

from accounts.credentials import IntegrationKeyRecord
from billing.authorizations import authorization_request
from billing.authorizations.verbs import Settled, locked_hold
from billing.charging import CaptureTerms, ChargeRequest, Mode, Outcome, charge_many
from billing.holds import VOIDED
from billing.models import Authorization
from core import clock
from core.errors import InvalidRequest
from core.numbers import CONTEXT, ZERO
from metering.events import EventInput

FIELDS: Final = frozenset(
    {"idempotency_key", "workspace", "api_key", "billing_entity", "amount", "expires_in"}
)
OPEN: Final = "open"
RETURNED: Final = "returned"
STATUSES: Final = {
    Authorization.Status.AUTHORIZED.value: OPEN,
    Authorization.Status.VOIDED.value: RETURNED,
    Authorization.Status.EXPIRED.value: "expired",
}


def lease_request(
    body: Any, now: datetime, credential: IntegrationKeyRecord | None = None, *, key: str | None = None
) -> ChargeRequest:
    """Draw `amount` for `expires_in` seconds. `key`: where the body has none; without either it is a new one.

    Raises InvalidRequest whose `param` is the offending field.
    """
    if not isinstance(body, dict):
        raise InvalidRequest("invalid_type", "A lease must be an object.")
    for name in body:
        if name not in FIELDS:
            raise InvalidRequest("unknown_field", f"A lease has no field {name[:80]!r}.", name[:80])
    if body.get("amount") is None:
        raise InvalidRequest("missing_field", "amount is missing.", "amount")
    keyed = (
        body if body.get("idempotency_key") is not None else body | {"idempotency_key": key or str(uuid4())}
    )
    request = authorization_request(keyed, now, credential)
    assert request.hold is not None
    return replace(request, hold=replace(request.hold, is_lease=True))


def report_calls(
    row: Authorization, events: Sequence[EventInput], credential: IntegrationKeyRecord | None = None
) -> list[Outcome]:
    """Charge the calls of a lease to what it reserves, each once; never refused, also after its time."""
    terms = CaptureTerms(row.customer_id, row.id, row.workspace_id, lease_payer_id=row.billing_entity_id)
    return charge_many(
        [ChargeRequest(event, Mode.REPORT, "lease", credential, authorization=terms) for event in events]
    )


def return_lease(row: Authorization) -> Settled:
    """End a lease: what it still reserves is free. Again, or after its time, it changes nothing."""
    now = clock.now()
    with locked_hold(row, now) as (book, lease):
        if lease.is_open:
            book.free(lease, lease.held)
            lease.settle(VOIDED, now)
            book.settle_due((), now)
        return Settled(lease, book.funds)


def status_of(status: str) -> str:
    """The status of a lease by that of its hold."""
    return STATUSES[status]


def exposure_of(status: str, held: Decimal, amount: Decimal, used: Decimal | None) -> Decimal:
    """What calls of a lease may still come to that have not been reported: what it reserves while it is open,
    and then all that is left of it, until it is returned."""
    if status == RETURNED:
        return ZERO
    if status == OPEN:
        return held
    return max(ZERO, CONTEXT.subtract(amount, used or ZERO))
