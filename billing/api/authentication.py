"""The integration key on the hot path: taken from the process's cache, because the charge path makes
sure under the payer's lock that it still holds."""

from __future__ import annotations

from rest_framework.request import Request

from accounts.api.authentication import IntegrationKeyAuthentication, bearer_secret
from accounts.credentials import IntegrationKeyRecord, authenticate_key


def credential(request: Request) -> IntegrationKeyRecord:
    """The integration key that a request came with."""
    assert isinstance(request.auth, IntegrationKeyRecord), "HasScope lets nobody else in"
    return request.auth


class ChargePathAuthentication(IntegrationKeyAuthentication):
    """Costs no query while the key may do what it is here for."""

    def authenticate(self, request: Request) -> tuple[None, IntegrationKeyRecord] | None:
        """The key as this process knows it; raises AuthenticationFailed."""
        secret = bearer_secret(request)
        if secret is None:
            return None
        scopes = getattr(request.parser_context["view"], "scopes", {})
        return None, authenticate_key(secret, is_fresh=False, needed=scopes.get(request.method))
