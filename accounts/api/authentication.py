"""`Authorization: Bearer ...`: the operator's integration keys; customers' API keys where a view allows."""

from __future__ import annotations

from typing import ClassVar

from django.http import HttpRequest
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from accounts.credentials import ApiKeyRecord, IntegrationKeyRecord, authenticate_api_key, authenticate_key
from accounts.secrets import INTEGRATION, is_well_formed
from core.errors import AuthenticationFailed


class IntegrationKeyAuthentication(BaseAuthentication):
    """An integration key of the operator's (`tg_...`), put into `request.auth`."""

    schemes: ClassVar[tuple[str, ...]] = ("integrationKey",)
    """How OpenAPI names the credentials; SPECTACULAR_SETTINGS defines them."""

    def authenticate(self, request: Request) -> tuple[None, IntegrationKeyRecord | ApiKeyRecord] | None:
        """The credential; None without a header (the permission then answers 401)."""
        secret = bearer_secret(request)
        return None if secret is None else (None, self.find(secret))

    def find(self, secret: str) -> IntegrationKeyRecord | ApiKeyRecord:
        """The credential with this secret; raises AuthenticationFailed."""
        return authenticate_key(secret)

    def authenticate_header(self, request: Request) -> str:
        """What the 401 asks for."""
        return 'Bearer realm="tollgate"'


class AnyKeyAuthentication(IntegrationKeyAuthentication):
    """An integration key, or a customer's API key: for the few reads of its own workspace."""

    schemes = ("integrationKey", "apiKey")

    def find(self, secret: str) -> IntegrationKeyRecord | ApiKeyRecord:
        """The credential with this secret; raises AuthenticationFailed."""
        if is_well_formed(secret, INTEGRATION):
            return authenticate_key(secret)
        return authenticate_api_key(secret)


def bearer_secret(request: Request | HttpRequest) -> str | None:
    """The secret in the Authorization header; raises AuthenticationFailed for another kind of header."""
    return secret_in(request.META.get("HTTP_AUTHORIZATION", ""))


def secret_in(header: str) -> str | None:
    """The secret in an Authorization header; None when it is empty. Raises as `bearer_secret`."""
    if not header:
        return None
    scheme, _, secret = header.partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise AuthenticationFailed("invalid_authorization", "Send `Authorization: Bearer tg_...`.")
    return secret.strip()
