"""What comes in: an event, and whether it asks (may be denied) or reports (has happened already)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from accounts.credentials import IntegrationKeyRecord
from metering.events import EventInput


class Mode(Enum):
    """ASK: a charge that wants permission. REPORT: usage that has happened; always recorded."""

    ASK = "ask"
    REPORT = "report"


@dataclass(slots=True)
class ChargeRequest:
    """One call. `source` names the door (api, import, release, demo) for the lag report.

    `credential` is the integration key that it came with, perhaps from a cache: the path makes sure that
    it is still valid. `is_any_age` lifts the accept window: imports of history and releases from quarantine.
    """

    event: EventInput
    mode: Mode
    source: str = "api"
    credential: IntegrationKeyRecord | None = None
    is_any_age: bool = False
