"""Callers over HTTP: one integration key, any number of threads."""

from __future__ import annotations

from typing import Any

from django.test import Client

from accounts.models import IntegrationKey
from accounts.secrets import INTEGRATION, new_secret
from core import clock
from tests.billing.world import Tenant


class Api:
    """`POST` with an integration key that may report and charge; charges go the way that `client` takes."""

    def __init__(self, client: type[Client] = Client) -> None:
        self._client = client
        secret = new_secret(INTEGRATION)
        self._headers = {"Authorization": f"Bearer {secret.text}"}
        self.key = IntegrationKey.objects.create(
            name="Caller",
            prefix=secret.prefix,
            fingerprint=secret.fingerprint,
            scopes=["charges:write", "events:write"],
            created_at=clock.now(),
        )

    def charge(self, event: dict[str, Any]) -> Any:
        """`POST /v1/charges`."""
        return self._post("/v1/charges", event)

    def report(self, events: list[dict[str, Any]]) -> Any:
        """`POST /v1/events`."""
        return self._post("/v1/events", {"events": events})

    def authorize(self, event: dict[str, Any]) -> Any:
        """`POST /v1/authorizations`."""
        return self._post("/v1/authorizations", event)

    def capture(self, hold: str, tokens: int, **fields: Any) -> Any:
        """`POST /v1/authorizations/{id}/capture`."""
        body = {"properties": {"tokens": tokens}} | fields
        return self._post(f"/v1/authorizations/{hold}/capture", body)

    def void(self, hold: str) -> Any:
        """`POST /v1/authorizations/{id}/void`."""
        return self._post(f"/v1/authorizations/{hold}/void", {})

    def _post(self, path: str, body: Any) -> Any:
        client = self._client(raise_request_exception=False)
        return client.post(path, body, content_type="application/json", headers=self._headers)


def call(tenant: Tenant, key: str, tokens: int = 1) -> dict[str, Any]:
    """An event of the tenant's workspace, as JSON."""
    return {
        "idempotency_key": key,
        "event": "completion",
        "workspace": tenant.workspace.external_id,
        "properties": {"tokens": tokens},
    }
