"""A running Tollgate with two web processes, filled through its API; payers with a little money."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psycopg
import pytest

from benchmarks.installation import HOST, Installation
from config.supervisor.programs import MANAGE
from tests.billing.invariants import broken_invariants
from tests.gateway.nginx import Nginx, Upstream

PRICE = Decimal("0.1")
EVENT = "api_call"
_numbers = count(1)


@dataclass
class Payer:
    """A customer with one payer, one workspace and one key for its calls."""

    id: str
    key: str
    key_id: str


class OwnServers(Installation):
    """Told of its PostgreSQL as of an operator's own, which Tollgate does not start when it is down."""

    def environment(self) -> dict[str, str]:
        return super().environment() | {"DATABASE_URL": self.postgres.url}


class Tollgate:
    """What its operator does with it."""

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.secret = installation.run([*MANAGE, "create_integration_key", "gateway"]).strip()

    def send(self, method: str, path: str, body: Any = None) -> Any:
        """One request to the API, which must work; its answer."""
        request = Request(f"http://{HOST}:{self.installation.port}{path}", method=method)
        request.add_header("Authorization", f"Bearer {self.secret}")
        request.add_header("Content-Type", "application/json")
        try:
            with urlopen(request, None if body is None else json.dumps(body).encode(), timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def prepare(self) -> None:
        """A price of 0.10 for each of what X-Tollgate-Quantity counts."""
        summed = {"event": EVENT, "aggregation": "sum", "property": "quantity"}
        self.send("POST", "/v1/meters", {"key": "calls", "name": "Calls"} | summed)
        component = {"key": "calls", "meter": "calls", "model": "per_unit", "unit_price": str(PRICE)}
        plan = {"plan": "api", "name": "API", "currency": "USD", "interval": "month"}
        self.version = self.send("POST", "/v1/plan-versions", plan | {"components": [component]})["id"]
        self.send("POST", f"/v1/plan-versions/{self.version}/publish", {})

    def payer(self, balance: str) -> Payer:
        """A new customer with so much money and no overdraft."""
        name = f"c{next(_numbers)}"
        customer = self.send("POST", "/v1/customers", {"name": name})["id"]
        entity = {"customer": customer, "name": name, "currency": "USD", "overdraft": "0"}
        payer = self.send("POST", "/v1/billing-entities", entity)["id"]
        space = {"customer": customer, "name": name, "billing_entity": payer}
        workspace = self.send("POST", "/v1/workspaces", space)["id"]
        subscription = {"billing_entity": payer, "plan_version": self.version}
        self.send("POST", "/v1/subscriptions", subscription)
        self.send("POST", "/v1/top-ups", {"billing_entity": payer, "amount": balance})
        key = self.send("POST", "/v1/api-keys", {"workspace": workspace, "name": name})
        return Payer(payer, key["secret"], key["id"])

    def balance(self, payer: Payer) -> tuple[Decimal, Decimal]:
        """What is settled and what is held."""
        body = self.send("GET", f"/v1/balance?billing_entity={payer.id}")
        return Decimal(body["settled"]), Decimal(body["held"])

    def ingest(self, log: Path) -> str:
        """What `ingest_access_log` says; it must take every line."""
        return self.installation.run([*MANAGE, "ingest_access_log", str(log)])

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What stands in the database."""
        with psycopg.connect(self.installation.postgres.dsn) as connection:
            return connection.execute(statement.encode(), values).fetchall()


@pytest.fixture(scope="session")
def _started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tollgate]:
    with OwnServers(tmp_path_factory.mktemp("gateway") / "var") as installation:
        installation.start_web()
        tollgate = Tollgate(installation)
        tollgate.prepare()
        yield tollgate


@pytest.fixture
def tollgate(_started: Tollgate) -> Iterator[Tollgate]:
    """It runs at the test's start; after it, the books agree."""
    installation = _started.installation
    installation.postgres.start()
    if not installation.is_ready():
        installation.stop("web")
        installation.start_web()
    yield _started
    installation.postgres.start()
    with psycopg.connect(installation.postgres.dsn) as connection:
        assert broken_invariants(connection) == []


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    made = Upstream()
    yield made
    made.close()


Start = Callable[..., Nginx]


@pytest.fixture
def start(tollgate: Tollgate, upstream: Upstream, tmp_path: Path) -> Iterator[Start]:
    """`start(fails_open=True)`: an nginx in front of the upstream."""
    with ExitStack() as stack:

        def begin(*, fails_open: bool = False) -> Nginx:
            folder = tmp_path / f"nginx-{next(_numbers)}"
            port, secret = tollgate.installation.port, tollgate.secret
            nginx = stack.enter_context(Nginx(folder, port, upstream.port, secret, fails_open=fails_open))
            upstream.seen.clear()
            return nginx

        yield begin
