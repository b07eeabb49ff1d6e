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
LINE_FIELDS = (
    "request_id",
    "time",
    "status",
    "bytes",
    "usage",
    "upstream",
    "authorization",
    "tollgate",
    "reason",
    "caller",
    "event",
)
PER_UNIT = {"key": "calls", "meter": "quantity", "model": "per_unit", "unit_price": "0.5"}


def filters() -> dict[str, Any]:
    """The filters of the document, in their order."""
    (text,) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return {one["name"]: one["typed_config"] for one in yaml.safe_load(text)["http_filters"]}


def documented() -> dict[str, Any]:
    """The `ext_authz` filter of the document."""
    found: dict[str, Any] = filters()["envoy.filters.http.ext_authz"]
    return found


def script(function: str) -> str:
    """A function of the document's Lua filter."""
    source: str = filters()["envoy.filters.http.lua"]["default_source_code"]["inline_string"]
    (body,) = re.findall(rf"^function {function}\(handle\)\n(.*?)^end$", source, re.DOTALL | re.MULTILINE)
    return str(body)


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


def test_the_filters_stand_in_the_order_in_which_the_answer_passes_the_script_last() -> None:
    assert [name.rsplit(".", 1)[-1] for name in filters()] == ["lua", "ext_authz", "router"]


def test_a_caller_cannot_name_a_hold_that_a_check_has_not_given() -> None:
    """What the log takes as the hold is what Envoy told the upstream, so the caller's own is taken away."""
    logged = re.findall(r'`authorization: "%REQ\((.*?)\)%"`', DOCUMENT.read_text())
    removed = re.findall(r':remove\("(.*?)"\)', script("envoy_on_request"))
    told = documented()["http_service"]["authorization_response"]["allowed_upstream_headers"]["patterns"]
    assert [name.lower() for name in logged] == removed == [one["exact"] for one in told]


def test_the_script_makes_the_statuses_that_a_check_cannot_answer() -> None:
    on_response = script("envoy_on_response")
    assert set(re.findall(r'status == "(\d+)"', on_response)) == {"402", "503"}
    assert 'replace(":status", status)' in on_response


def test_what_a_call_used_is_logged_and_not_shown_to_its_caller() -> None:
    on_response = script("envoy_on_response")
    assert 'set("tollgate", "usage", usage)' in on_response
    assert re.findall(r':remove\("(.*?)"\)', on_response) == ["x-tollgate-usage"]
    assert '"%DYNAMIC_METADATA(tollgate:usage)%"' in DOCUMENT.read_text()


def test_failing_open_is_the_operators_choice_in_one_place() -> None:
    """Closed as it stands: both for no answer at all, and for a Tollgate without its database."""
    service = documented()["http_service"]
    added = {one["key"]: one["value"] for one in service["authorization_request"]["headers_to_add"]}
    assert (documented()["failure_mode_allow"], added["x-tollgate-fail"]) == (False, "closed")


def test_each_field_that_the_log_names_is_one_that_is_read() -> None:
    (sentence,) = re.findall(r"a `json_format` with (.*?)\. Envoy", DOCUMENT.read_text())
    named = set(re.findall(r"`([a-z_]+)(?::|`)", sentence))
    assert {"request_id", "time", "status", "usage", "authorization", "tollgate", "reason", "caller"} <= named
    assert named - {"x-tollgate-usage"} <= {*LINE_FIELDS}
