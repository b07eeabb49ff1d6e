"""The check as Envoy's `ext_authz` asks it, with the headers that the documented filter lets through."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

import pytest
import yaml

from accounts.keys import issue_api_key
from billing.models import Authorization
from tests.api_client import Api
from tests.billing.world import make_meter, make_tenant, make_version
from tests.gateway.nginx import DOCUMENT

pytestmark = pytest.mark.django_db
PER_UNIT = {"key": "calls", "meter": "quantity", "model": "per_unit", "unit_price": "0.5"}


def documented() -> dict[str, Any]:
    """The `ext_authz` filter of the document."""
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    filters = {one["name"]: one["typed_config"] for one in yaml.safe_load(text)["http_filters"]}
    found: dict[str, Any] = filters["envoy.filters.http.ext_authz"]
    return found


class Envoy:
    """What ext_authz sends for a caller's request, and what the caller gets: by the filter's own rules."""

    def __init__(self, api: Api) -> None:
        self.service = documented()["http_service"]
        asks = self.service["authorization_request"]
        self.allowed = {pattern["exact"] for pattern in asks["allowed_headers"]["patterns"]}
        self.added = {one["key"]: one["value"] for one in asks["headers_to_add"]}
        assert self.added["x-tollgate-key"] == "tg_your_integration_key"
        self.added["x-tollgate-key"] = api.secret
        self.client = api.client

    def call(self, method: str, path: str, **headers: str) -> Any:
        """The original method and path, after the prefix; never the body."""
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        sent = {name: value for name, value in named.items() if name in self.allowed}
        prefix = self.service["path_prefix"]
        return self.client.generic(method, prefix + path, headers=sent | self.added | {"Content-Length": "0"})

    def passed_on(self, answer: Any) -> set[str]:
        """The names of the headers that a refused caller sees."""
        patterns = self.service["authorization_response"]["allowed_client_headers"]["patterns"]
        names = [name.lower() for name in answer.headers]
        return {
            name
            for name in names
            if any(name == one.get("exact") or name.startswith(one.get("prefix", "\0")) for one in patterns)
        }


@pytest.fixture
def envoy() -> Envoy:
    return Envoy(Api("charges:write"))


@pytest.fixture
def key() -> str:
    make_meter("quantity", event="api_call")
    tenant = make_tenant(make_version([PER_UNIT]), balance="1", overdraft=Decimal(0))
    return str(issue_api_key(workspace=tenant.workspace, name="caller").secret)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/v1/chat/completions?stream=true", "/a//b/", "/%E2%82%AC"])
def test_the_callers_method_and_path_make_no_difference(
    envoy: Envoy, key: str, method: str, path: str
) -> None:
    answer = envoy.call(method, path, Authorization=f"Bearer {key}", X_Request_Id="6f8c0d2e-1")
    assert answer.status_code == 200
    assert Authorization.objects.get().idempotency_key == "6f8c0d2e-1"


def test_the_upstream_learns_the_hold(envoy: Envoy, key: str) -> None:
    patterns = envoy.service["authorization_response"]["allowed_upstream_headers"]["patterns"]
    answer = envoy.call("GET", "/", X_Api_Key=key)
    assert [answer[one["exact"]] for one in patterns] == [Authorization.objects.get().public_id]


def test_when_the_balance_has_run_out_the_caller_gets_our_body_and_reason(envoy: Envoy, key: str) -> None:
    statuses = [
        envoy.call("GET", "/", X_Api_Key=key, X_Request_Id=f"r{number}").status_code for number in range(3)
    ]
    assert statuses == [200, 200, 403]
    refused = envoy.call("GET", "/", X_Api_Key=key, X_Request_Id="r9")
    assert refused["X-Tollgate-Status"] == "402"  # what the filter in front makes the status
    assert json.loads(refused.content)["denial"]["reason"] == "insufficient_funds"
    assert {"x-tollgate-status", "x-tollgate-reason", "content-type"} <= envoy.passed_on(refused)


def test_a_caller_cannot_say_what_it_pays_for(envoy: Envoy, key: str) -> None:
    own = {"X_Tollgate_Quantity": "0", "X_Tollgate_Event": "free", "X_Tollgate_Properties": '{"quantity": 0}'}
    envoy.call("GET", "/", X_Api_Key=key, X_Tollgate_Fail="open", **own)
    assert Authorization.objects.get().amount == Decimal("0.5")


def test_a_stranger_is_asked_for_a_key(envoy: Envoy, key: str) -> None:
    answer = envoy.call("GET", "/")
    assert answer.status_code == 401
    assert "www-authenticate" in envoy.passed_on(answer)
