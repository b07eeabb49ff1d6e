"""What comes in: an event, and whether it asks (may be denied), holds (what it is expected to cost), or
reports (has happened already)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from uuid import UUID

from accounts.attribution import Attribution
from accounts.credentials import IntegrationKeyRecord
from accounts.models.keys import Scope
from billing.holds import HoldId
from billing.models import Authorization
from core.errors import Unprocessable
from metering.accept import accept_window
from metering.catalogue import MeterCatalogue
from metering.events import EventInput


class Mode(Enum):
    """ASK: a charge that wants permission. HOLD: an authorization, which asks and reserves. REPORT: usage
    that has happened; always recorded."""

    ASK = "ask"
    HOLD = "hold"
    REPORT = "report"


class Over(Enum):
    """What a capture does that costs more than is held: be refused, cost no more (the operator bears the
    rest), or go on to the payer's limit."""

    REJECT = "reject"
    CAP = "cap"
    OVERDRAFT = "overdraft"


@dataclass(slots=True, frozen=True)
class HoldTerms:
    """For how long to hold, and how much; None = what the event is expected to cost. `is_lease`: for many
    calls, which are decided elsewhere."""

    expires_in: timedelta
    amount: Decimal | None = None
    is_lease: bool = False


@dataclass(slots=True, frozen=True)
class CaptureTerms:
    """The hold that an event is charged to, and who called then: what is known of it since.

    Of a lease, whose calls come as events of their own, also who pays: `lease_payer_id`.
    """

    customer_id: int
    id: UUID
    workspace_id: int | None = None
    api_key_id: int | None = None
    over: Over = Over.REJECT
    lease_payer_id: int | None = None

    @property
    def is_lease(self) -> bool:
        """Whether the hold is a lease."""
        return self.lease_payer_id is not None

    def attribute(self, found: Attribution) -> None:
        """Let a call belong to whom it was promised, whoever pays by now.

        What a capture is for was attributed when it was authorized; a lease pays for its workspace's calls.
        """
        if self.lease_payer_id is None:
            found.workspace_id, found.api_key_id = self.workspace_id, self.api_key_id
        elif found.config is not None and self._is_of(found):
            found.payer = found.config.payers.get(self.lease_payer_id, found.payer)
            if found.problem is not None and found.problem.code == "no_payer":
                found.problem = None

    def _is_of(self, found: Attribution) -> bool:
        """Whether a call is of the workspace of the lease; one that names its payer is of none."""
        customer_id = found.config.customer_id if found.config else None
        is_same = (customer_id, found.workspace_id) == (self.customer_id, self.workspace_id)
        return is_same and self.workspace_id is not None


@dataclass(slots=True)
class ChargeRequest:
    """One call. `source` names the door (api, import, release, demo) for the lag report.

    `credential` is the integration key that it came with, perhaps from a cache: the path makes sure that
    it is still valid and has `needed_scope`. `is_any_age` lets usage come as late as it likes: imports of
    history and releases from quarantine. `hold` belongs to the mode HOLD. With `authorization` the event
    captures that hold; its `billing_entity` is the payer held. `read` makes the event anew where the meters
    have a say in that and are newer than the credential.
    """

    event: EventInput
    mode: Mode
    source: str = "api"
    credential: IntegrationKeyRecord | None = None
    is_any_age: bool = False
    hold: HoldTerms | None = None
    authorization: CaptureTerms | None = None
    needed_scope: str = ""
    read: Callable[[MeterCatalogue], EventInput] | None = None

    def __post_init__(self) -> None:
        """Note the scope while it is known: a report that turns out to capture a hold is one all the same."""
        if not self.needed_scope:
            is_report = self.mode is Mode.REPORT and self.authorization is None
            self.needed_scope = (Scope.EVENTS_WRITE if is_report else Scope.CHARGES_WRITE).value

    def window_problem(self, now: datetime) -> Unprocessable | None:
        """The error of usage that comes too late or has not happened yet; None when it may be taken."""
        occurred_at = self.event.occurred_at
        reason = accept_window(occurred_at, now)
        if reason is None or (self.is_any_age and occurred_at <= now):
            return None
        return Unprocessable(reason, "occurred_at is outside the accept window.", "occurred_at")


@dataclass(slots=True, frozen=True)
class UnreadCapture:
    """A capture of which only the hold's id is known: what was authorized is read with others that come at
    the same time. `read` makes the request of it (null: there is no such hold), or raises what is wrong."""

    hold: HoldId
    read: Callable[[Authorization | None], ChargeRequest]


Asked = ChargeRequest | UnreadCapture
