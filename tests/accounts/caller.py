"""A program that calls the API in-process, and looks at every answer closely."""

from __future__ import annotations

import json
from typing import Any

from accounts.integration_keys import issue_integration_key
from tests.lane_client import LaneClient


class Answer:
    """What came back: `status`, `json`, `headers`, `body`."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.status_code
        self.headers = response.headers
        self.body: bytes = response.getvalue()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, which is checked to be whole."""
        error: dict[str, Any] = self.json["error"]
        assert set(error) == {"type", "code", "message", "param", "doc_url", "request_id"}
        assert error["request_id"] == self.headers["X-Request-Id"]
        return error


class Caller:
    """Without a secret it sends no credential."""

    def __init__(self, secret: str | None = None) -> None:
        self.secret = secret
        self._client = LaneClient(raise_request_exception=False)

    def request(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Answer:
        sent = self._authorization() | (headers or {})
        content_type = sent.pop("Content-Type", "application/json")
        return Answer(self._client.generic(method, path, body, content_type=content_type, headers=sent))

    def get(self, path: str, **parameters: str) -> Answer:
        return Answer(self._client.get(path, parameters, headers=self._authorization()))

    def post(self, path: str, payload: Any = None, key: str | None = None) -> Answer:
        return self._send("POST", path, payload, key)

    def patch(self, path: str, payload: Any = None, key: str | None = None) -> Answer:
        return self._send("PATCH", path, payload, key)

    def made(self, path: str, payload: Any, key: str | None = None) -> dict[str, Any]:
        """The object that a POST created."""
        answer = self.post(path, payload, key)
        assert answer.status == 201, answer.body
        made: dict[str, Any] = answer.json
        return made

    def _send(self, method: str, path: str, payload: Any, key: str | None) -> Answer:
        body = b"" if payload is None else json.dumps(payload).encode()
        return self.request(method, path, body, {} if key is None else {"Idempotency-Key": key})

    def _authorization(self) -> dict[str, str]:
        return {} if self.secret is None else {"Authorization": f"Bearer {self.secret}"}


def caller_with(*scopes: str) -> Caller:
    """A caller with a new integration key."""
    return Caller(issue_integration_key(name="test", scopes=scopes).secret)
