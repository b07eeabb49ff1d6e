"""The path of a call (DESIGN.md section 4): attribute, look up, lock, rate, decide, book, commit.

`charge_many` is the only way in. Modules in the order of the path: `requests` (what comes in),
`planning` and `bounding` (before the lock; `calm`: limits that are not read), `reading` and `limiting` (under
the lock; `older_holds`: what a quota missed), `deciding`, `holding` and `capturing` (what is held for a call,
and its end), `booking`, `path` (the transaction), `batching` (concurrent single charges share a commit) and
`merging` (concurrent reports share transactions), both on `queues`; `outcomes` (what comes out).
"""

from billing.charging.batching import charge_in_loop, charge_one
from billing.charging.merging import report_together
from billing.charging.outcomes import Authorized, Charged, Denied, Failed, Outcome, Quarantined, Recorded
from billing.charging.path import charge_many, report_events
from billing.charging.requests import Asked, CaptureTerms, ChargeRequest, HoldTerms, Mode, Over, UnreadCapture

__all__ = [
    "Asked",
    "Authorized",
    "CaptureTerms",
    "ChargeRequest",
    "Charged",
    "Denied",
    "Failed",
    "HoldTerms",
    "Mode",
    "Outcome",
    "Over",
    "Quarantined",
    "Recorded",
    "UnreadCapture",
    "charge_in_loop",
    "charge_many",
    "charge_one",
    "report_events",
    "report_together",
]
