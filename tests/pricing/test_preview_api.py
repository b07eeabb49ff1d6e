"""`POST /v1/pricing/preview`: the answers of `manage.py rate`, over HTTP."""

from __future__ import annotations

import json
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from accounts.currencies import create_currency
from tests.api_client import Api

pytestmark = pytest.mark.django_db
ADDRESS = "/v1/pricing/preview"
EXAMPLE: dict[str, Any] = {
    "currency": "USD",
    "base_fees": [{"key": "platform", "amount": "49.00"}],
    "components": [
        {
            "key": "tok",
            "meter": "tokens",
            "model": "graduated",
            "tiers": [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}],
        }
    ],
    "usage": {"tok": {"quantity": "1500"}},
}


@pytest.fixture
def api() -> Api:
    return Api("read")


def rated(document: Any, path: Path) -> Any:
    """What `manage.py rate` answers."""
    path.write_text(json.dumps(document))
    out = StringIO()
    call_command("rate", str(path), stdout=out)
    return json.loads(out.getvalue())


def test_the_example_of_the_format_is_answered_as_on_the_command_line(api: Api, tmp_path: Path) -> None:
    answer = api.post(ADDRESS, EXAMPLE)
    assert answer.status_code == 200
    assert answer.json() == rated(EXAMPLE, tmp_path / "usage.json")
    assert answer.json()["total"] == "61.50"
    assert list(answer.json()) == ["currency", "lines", "total"]


def test_an_array_gives_an_array_with_errors_in_their_places(api: Api) -> None:
    bad = EXAMPLE | {"usage": {"other": {"quantity": "1"}}}
    deep: Any = {}
    for _ in range(60):
        deep = {"a": deep}
    answer = api.post(ADDRESS, [EXAMPLE, bad, 5, deep, EXAMPLE])
    assert answer.status_code == 200
    first, second, third, fourth, fifth = answer.json()
    assert first == fifth == api.post(ADDRESS, EXAMPLE).json()
    assert second["error"]["param"] == "usage.other"
    assert set(second["error"]) == {"type", "code", "message", "param", "doc_url", "request_id"}
    assert third["error"]["type"] == fourth["error"]["type"] == "invalid_request"
    assert api.post(ADDRESS, []).json() == []


def test_one_bad_document_is_a_bad_request(api: Api) -> None:
    tiers = [{"up_to": "10", "unit_price": "1"}, {"up_to": "5", "unit_price": "1"}]
    component = {"key": "a", "model": "graduated", "tiers": tiers}
    answer = api.post(ADDRESS, {"currency": "USD", "components": [component]})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "components[0].tiers[1].up_to")


def test_a_bare_number_where_a_text_must_be_is_named(api: Api) -> None:
    raw = json.dumps(EXAMPLE).replace('"1500"', "1500.0")
    answer = api.client.post(
        ADDRESS, raw, content_type="application/json", headers={"Authorization": f"Bearer {api.secret}"}
    )
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "usage.tok.quantity")


@pytest.mark.parametrize(
    "raw", ["", "nonsense", "{", '{"currency": NaN}', "null", "5", '"x"', "\x00", '{"currency": "\\u0000"}']
)
def test_what_is_no_document_is_a_bad_request(api: Api, raw: str) -> None:
    answer = api.client.post(
        ADDRESS, raw, content_type="application/json", headers={"Authorization": f"Bearer {api.secret}"}
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request"


def test_the_operators_own_unit_has_its_own_decimals(api: Api) -> None:
    create_currency(code="CRD", name="Credits", decimals=1, price=Decimal("0.01"), price_currency="USD")
    document = EXAMPLE | {"currency": "CRD"}
    assert api.post(ADDRESS, document).json()["total"] == "61.5"
    assert api.post(ADDRESS, EXAMPLE | {"currency": "JPY"}).json()["total"] == "62"
    assert api.post(ADDRESS, EXAMPLE | {"currency": "XYZ"}).json()["error"]["code"] == "unknown_currency"


def test_a_preview_needs_the_scope_to_read() -> None:
    assert Api("events:write").post(ADDRESS, EXAMPLE).status_code == 403
    assert Api("admin").post(ADDRESS, EXAMPLE).status_code == 200
    stranger = Api("read")
    stranger.secret = "tg_nothing"
    assert stranger.post(ADDRESS, EXAMPLE).status_code == 401


def test_a_preview_reads_nothing_but_currencies_and_writes_nothing(
    api: Api, django_assert_max_num_queries: Any
) -> None:
    api.post(ADDRESS, EXAMPLE)
    with django_assert_max_num_queries(3):
        api.post(ADDRESS, [EXAMPLE] * 20)
