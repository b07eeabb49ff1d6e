"""The API's description: correct, complete about errors, readable under the strictest policy."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from django.core.management import call_command
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

GATEWAY = "/v1/gateway/authorize"
"""Its key stands in a header of its own, since `Authorization` is the caller's."""


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    generated: dict[str, Any] = SchemaGenerator().get_schema(  # type: ignore[no-untyped-call]
        request=None, public=True
    )
    return generated


def test_the_schema_is_valid_and_without_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")
    assert "Warning" not in capsys.readouterr().err


def test_the_schema_is_openapi_3_1(schema: dict[str, Any]) -> None:
    validate_schema(schema)  # type: ignore[no-untyped-call]
    assert schema["openapi"] == "3.1.0"


def test_every_operation_says_which_errors_it_gives(schema: dict[str, Any]) -> None:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            responses = operation["responses"]
            assert {"400", "401", "403"} <= responses.keys(), (path, method)
            if (
                path == GATEWAY
            ):  # its answers are for the gateway: a status, headers, and what the caller is told
                continue
            reference = responses["401"]["content"]["application/json"]["schema"]
            assert reference == {"$ref": "#/components/schemas/Error"}


def test_every_operation_has_a_short_summary(schema: dict[str, Any]) -> None:
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    summaries = [operation["summary"] for operation in operations]
    assert all(0 < len(summary) <= 60 for summary in summaries), summaries
    assert "List api keys" in summaries
    assert "Rotate integration keys" in summaries


def test_every_operation_has_its_own_id_and_a_credential(schema: dict[str, Any]) -> None:
    operations = [operation for path in schema["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(set(ids)) == len(ids)
    check = schema["paths"][GATEWAY]["get"]
    assert "X-Tollgate-Key" in [parameter["name"] for parameter in check["parameters"]]
    assert all(operation["security"] for operation in operations if operation is not check)


def test_the_schema_is_served_to_anybody(db: None) -> None:
    response = Client().get("/v1/schema")
    assert response.status_code == 200
    assert yaml.safe_load(response.content)["info"]["title"] == "Tollgate"


def test_the_error_page_explains_every_type() -> None:
    response = Client().get("/v1/docs/errors")
    assert response.status_code == 200
    text = response.content.decode()
    for kind in ("invalid_request", "authentication", "payment_required", "too_large", "internal"):
        assert f'id="{kind}"' in text


@pytest.mark.parametrize("path", ["/v1/docs", "/v1/docs?script", "/v1/docs/errors"])
def test_the_pages_allow_nothing_foreign(path: str) -> None:
    response = Client().get(path)
    assert response.status_code == 200
    assert "default-src 'self'" in response["Content-Security-Policy"]
    assert "unsafe" not in response["Content-Security-Policy"]
    text = response.content.decode()
    assert "<style" not in text
    assert "https://" not in text or path == "/v1/docs?script"
    assert "<script>" not in text
