"""A customer with two payers, an API client, and the keys to call with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from accounts.models import ApiKey, BillingEntity, Customer, IntegrationKey, PayerAssignment, Workspace
from accounts.secrets import API, INTEGRATION, new_secret

JAN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Api:
    """Calls the API with one key, as JSON."""

    secret: str

    def __post_init__(self) -> None:
        self.client = Client(raise_request_exception=True)

    def _call(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        content = None if body is None else json.dumps(body)
        if self.secret:
            headers["Authorization"] = f"Bearer {self.secret}"
        answer: Any = self.client.generic(
            method, f"/v1/{path}", content or "", content_type="application/json", headers=headers
        )
        answer.body = json.loads(answer.content) if answer.content else None
        return answer

    def get(self, path: str, **headers: str) -> Any:
        return self._call("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._call("POST", path, body, **headers)

    def patch(self, path: str, body: Any, **headers: str) -> Any:
        return self._call("PATCH", path, body, **headers)


def error_of(answer: Any) -> tuple[int, str, str | None]:
    return answer.status_code, answer.body["error"]["code"], answer.body["error"]["param"]


@pytest.fixture
def make_api(db: None) -> Callable[..., Api]:
    def make(*scopes: str) -> Api:
        secret = new_secret(INTEGRATION)
        IntegrationKey.objects.create(
            name="test",
            prefix=secret.prefix,
            fingerprint=secret.fingerprint,
            scopes=list(scopes),
            created_at=JAN,
        )
        return Api(secret.text)

    return make


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    return make_api("admin")


@dataclass
class Tenant:
    """A customer whose workspace `ws` is paid for by `payer`."""

    customer: Customer
    payer: BillingEntity
    workspace: Workspace
    key: ApiKey
    secret: str


@pytest.fixture
def make_tenant(db: None) -> Callable[..., Tenant]:
    def make(name: str, **payer: Any) -> Tenant:
        customer = Customer.objects.create(name=name, external_id=name, created_at=JAN)
        values = {"name": name, "currency": "USD", "time_zone": "UTC", "external_id": f"{name}-payer"} | payer
        entity = BillingEntity.objects.create(customer=customer, created_at=JAN, **values)
        workspace = Workspace.objects.create(
            customer=customer, name=name, external_id=f"{name}-ws", created_at=JAN
        )
        PayerAssignment.objects.create(
            customer=customer, workspace=workspace, billing_entity=entity, created_at=JAN
        )
        secret = new_secret(API)
        key = ApiKey.objects.create(
            customer=customer,
            workspace=workspace,
            name=name,
            kind="issued",
            prefix=secret.prefix,
            fingerprint=secret.fingerprint,
            created_at=JAN,
        )
        return Tenant(customer, entity, workspace, key, secret.text)

    return make


@pytest.fixture
def acme(make_tenant: Callable[..., Tenant]) -> Tenant:
    return make_tenant("acme")


@pytest.fixture
def rival(make_tenant: Callable[..., Tenant]) -> Tenant:
    return make_tenant("rival")
