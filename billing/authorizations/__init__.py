"""Authorizations: money held for a call whose size is not known yet.

`authorize` and `capture` go the path of a call (`billing.charging`), so they share commits with charges;
`void`, `extend` and `expire_due` lock the payer themselves. What a hold is under the lock: `billing.holds`.
"""

from billing.authorizations.bodies import authorization_request, capture_request
from billing.authorizations.verbs import expire_due, extend, void

__all__ = ["authorization_request", "capture_request", "expire_due", "extend", "void"]
