"""What comes in: an event, and whether it asks (may be denied) or reports (has happened already)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from accounts.credentials import IntegrationKeyRecord
from core.errors import Unprocessable
from metering.accept import accept_window
from metering.events import EventInput


class Mode(Enum):
    """ASK: a charge that wants permission. REPORT: usage that has happened; always recorded."""

    ASK = "ask"
    REPORT = "report"


@dataclass(slots=True)
class ChargeRequest:
    """One call. `source` names the door (api, import, release, demo) for the lag report.

    `credential` is the integration key that it came with, perhaps from a cache: the path makes sure that
    it is still valid. `is_any_age` lets usage come as late as it likes: imports of history and
    releases from quarantine.
    """

    event: EventInput
    mode: Mode
    source: str = "api"
    credential: IntegrationKeyRecord | None = None
    is_any_age: bool = False

    def window_problem(self, now: datetime) -> Unprocessable | None:
        """The error of usage that comes too late or has not happened yet; None when it may be taken."""
        occurred_at = self.event.occurred_at
        reason = accept_window(occurred_at, now)
        if reason is None or (self.is_any_age and occurred_at <= now):
            return None
        return Unprocessable(reason, "occurred_at is outside the accept window.", "occurred_at")
