"""The integration key on the hot path: taken from the process's cache, because the charge path makes
sure under the payer's lock that it still holds."""

from __future__ import annotations

from rest_framework.request import Request

from accounts.api.authentication import IntegrationKeyAuthentication
from accounts.credentials import IntegrationKeyRecord, authenticate_key


def credential(request: Request) -> IntegrationKeyRecord:
    """The integration key that a request came with."""
    assert isinstance(request.auth, IntegrationKeyRecord), "HasScope lets nobody else in"
    return request.auth


class ChargePathAuthentication(IntegrationKeyAuthentication):
    """Costs no query."""

    def find(self, secret: str) -> IntegrationKeyRecord:
        """The key with this secret, as this process knows it; raises AuthenticationFailed."""
        return authenticate_key(secret, is_fresh=False)
