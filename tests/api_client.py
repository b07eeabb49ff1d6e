"""A caller of the HTTP API with one integration key."""

from __future__ import annotations

from typing import Any

from accounts.models import IntegrationKey
from accounts.secrets import INTEGRATION, new_secret
from core import clock
from tests.lane_client import LaneClient


class Api:
    """Calls with one integration key; no exception of the server's reaches the test."""

    def __init__(self, *scopes: str) -> None:
        secret = new_secret(INTEGRATION)
        self.secret = secret.text
        self.key = IntegrationKey.objects.create(
            name="tests",
            prefix=secret.prefix,
            fingerprint=secret.fingerprint,
            scopes=list(scopes or ("admin",)),
            created_at=clock.now(),
        )
        self.client = LaneClient(raise_request_exception=False)

    def post(self, path: str, body: Any, **headers: str) -> Any:
        return self.client.post(
            path,
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {self.secret}", **headers},
        )

    def get(self, path: str, **params: str) -> Any:
        return self.client.get(path, params, headers={"Authorization": f"Bearer {self.secret}"})

    def make(self, path: str, **body: Any) -> Any:
        """Create something that must work, and give its body."""
        response = self.post(path, body)
        assert response.status_code == 201, response.content
        return response.json()
