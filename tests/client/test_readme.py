"""Every example of the client's README runs, in order, against Tollgate."""

from __future__ import annotations

import asyncio
import re
import sys
from decimal import Decimal
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest

from accounts.keys import issue_api_key
from billing.models import Authorization, Charge
from tests.api_client import Api
from tests.architecture.sources import ROOT
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version
from tests.client.apis import WordsASGI
from tests.client.chunks import Stream, chat, last, objects
from tollgate_client import errors

README = ROOT / "clients/python/README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
METERS = {
    "tokens": "completion",
    "input_tokens": "completion",
    "output_tokens": "completion",
    "bytes": "api_call",
}


@pytest.fixture
def acme(transactional_db: None) -> Tenant:
    """A customer with the workspace that the examples name, and a cent for everything."""
    for meter, event in METERS.items():
        make_meter(meter, event=event)
    prices = [{"key": meter, "meter": meter, "model": "per_unit", "unit_price": "0.01"} for meter in METERS]
    one = make_tenant(make_version(prices), balance="1000", overdraft=Decimal(0))
    one.workspace.external_id = "acme-prod"
    one.workspace.save()
    return one


@pytest.fixture
def world(live_server: Any, acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`run(number)` runs an example, with what the page takes for granted."""
    myapi = ModuleType("myapi")
    myapi.app = WordsASGI()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "myapi", myapi)
    chunks = [objects(chunk) for chunk in (chat("Once"), chat(" upon"), last())]
    completions = SimpleNamespace(create=lambda **_: Stream(chunks))
    names: dict[str, Any] = {
        "model": SimpleNamespace(generate=lambda _: SimpleNamespace(tokens=150)),
        "openai": SimpleNamespace(chat=SimpleNamespace(completions=completions)),
        "messages": [],
    }
    secret = Api("charges:write", "events:write", "read").secret

    def run(number: int) -> dict[str, Any]:
        text = (
            EXAMPLES[number]
            .replace("https://tollgate.example.com", str(live_server))
            .replace("tg_...", secret)
        )
        exec(compile(text, f"example {number}", "exec"), names)
        return names

    yield run
    names["client"].close()


def test_the_examples_do_what_the_page_says(
    world: Any, acme: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    assert world(0)["charge"].amount == Decimal("8.12")
    assert capsys.readouterr().out.split() == ["8.12", "USD", "812"]

    assert balance(acme) == Decimal("991.88")
    assert world(1)["report"].accepted == 3
    assert capsys.readouterr().out == "3 0 ()\n"
    assert balance(acme) == Decimal("991.88") - Decimal("0.65")

    world(2)
    assert balance(acme) == Decimal("989.73")

    world(3)
    assert capsys.readouterr().out == "Once\n upon\n\n"
    assert balance(acme) == Decimal("989.73") - Decimal("0.27"), "20 in, 7 out"

    app = world(4)["app"]
    key = str(issue_api_key(workspace=acme.workspace, name="main").secret)
    assert asyncio.run(status_of(app, key)) == 200
    assert balance(acme) == Decimal("989.46") - Decimal("0.13")

    world(5)
    assert capsys.readouterr().out == "3.25\n"
    assert balance(acme) == Decimal("989.33") - Decimal("1.75")
    assert len(EXAMPLES) == 6
    assert not Authorization.objects.filter(status="authorized").exists()
    assert Charge.objects.filter(billing_entity_id=acme.payer.pk).count() == 11


async def status_of(app: Any, key: str) -> int:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://api.test") as http:
        status = (await http.get("/words", headers={"X-Api-Key": key})).status_code
    await app.client.aclose()
    return status


def test_an_api_is_metered_in_ten_lines() -> None:
    (example,) = [text for text in EXAMPLES if "TollgateASGI(" in text]
    lines = [line for line in example.splitlines() if line.strip() and "import" not in line]
    assert len(lines) <= 10


def test_the_page_names_every_error() -> None:
    names = [
        name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    assert [name for name in names if name != "ApiError" and f"`{name}`" not in README.read_text()] == []
