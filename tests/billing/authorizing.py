"""A payer with holds, through the public API: one token costs 0.01; the clock is the test's."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any

from core import clock
from core.sql import driver
from tests.api_client import Api
from tests.billing.invariants import broken_invariants
from tests.billing.world import Tenant, make_meter, make_tenant, make_version

DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/authorizations.md"
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}


def table(first_columns: str, document: Path = DOCUMENT) -> list[dict[str, str]]:
    """The rows of the document's table that begins with these columns."""
    text = document.read_text()
    heads = [line for line in text.splitlines() if line.startswith(f"| {first_columns} |")]
    assert len(heads) == 1, heads
    rows = text.split(heads[0] + "\n")[1].split("\n\n")[0].splitlines()[1:]
    names = _cells(heads[0])
    return [dict(zip(names, _cells(row), strict=True)) for row in rows]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


class Desk:
    """An operator's key, one tenant with a hard stop unless said, and words for what is done."""

    def __init__(self, balance: str | None = "10", *, version: Any = None, **payer: Any) -> None:
        self.now = NOW
        clock.use(lambda: self.now)
        self.api = Api()
        if version is None:
            make_meter()
            version = make_version([PER_TOKEN])
        self.version = version
        self.tenant: Tenant = make_tenant(version, balance=balance, **({"overdraft": Decimal(0)} | payer))
        self._keys = (f"key-{number}" for number in count(1))

    def later(self, **span: float) -> None:
        """Move the clock."""
        self.now += timedelta(**span)

    def event(self, tokens: float | str | None = None, **fields: Any) -> dict[str, Any]:
        """An event of the tenant's workspace."""
        body = {"idempotency_key": next(self._keys), "event": "completion"}
        if "billing_entity" not in fields:
            body["workspace"] = str(self.tenant.workspace.external_id)
        return body | ({} if tokens is None else {"properties": {"tokens": tokens}}) | fields

    def authorize(self, tokens: float | str | None = None, **fields: Any) -> Any:
        """The answer to an authorization."""
        return self.api.post("/v1/authorizations", self.event(tokens, **fields))

    def hold(self, tokens: float | str | None = None, **fields: Any) -> str:
        """The id of an authorization that must be given."""
        answer = self.authorize(tokens, **fields)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["id"])

    def capture(self, hold: str, tokens: float | str | None = None, **fields: Any) -> Any:
        """The answer to a capture."""
        body = fields if tokens is None else fields | {"properties": {"tokens": tokens}}
        return self.api.post(f"/v1/authorizations/{hold}/capture", body)

    def void(self, hold: str) -> Any:
        """The answer to a void."""
        return self.api.post(f"/v1/authorizations/{hold}/void", {})

    def extend(self, hold: str, seconds: int) -> Any:
        """The answer to an extension."""
        return self.api.post(f"/v1/authorizations/{hold}/extend", {"expires_in": seconds})

    def charge(self, tokens: float | str, **fields: Any) -> Any:
        """The answer to a charge."""
        return self.api.post("/v1/charges", self.event(tokens, **fields))

    def report(self, tokens: float | str, **fields: Any) -> Any:
        """The answer to a report of one event."""
        return self.api.post("/v1/events", {"events": [self.event(tokens, **fields)]}).json()

    def shown(self, hold: str) -> Any:
        """`GET /v1/authorizations/{id}`."""
        return self.api.get(f"/v1/authorizations/{hold}").json()

    def balance(self) -> tuple[str, str, str]:
        """(settled, held, available) by `GET /v1/balance`."""
        found = self.api.get("/v1/balance", workspace=str(self.tenant.workspace.external_id)).json()
        return found["settled"], found["held"], found["available"]


def desks() -> Iterator[type[Desk]]:
    """For a fixture: desks, whose books are looked at when the test is over."""
    yield Desk
    assert broken_invariants(driver()) == []
    clock.use(None)


def error_of(answer: Any) -> tuple[int, str]:
    """(status, code) of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]
