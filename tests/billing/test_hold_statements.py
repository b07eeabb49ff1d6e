"""How many statements holds cost: a fixed number, and none where nothing is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.charging import Authorized, CaptureTerms, ChargeRequest, Mode, Outcome, charge_many
from core import clock
from core.pipeline import Pipeline
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


class Count:
    """Statements and round trips of the driver, and statements that Django sends."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.round_trips = 0

    def about(self, words: str) -> int:
        return sum(words in statement for statement in self.statements)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """`with counted() as count`: what the block sends."""
    run = Pipeline.run
    counts: list[Count] = []

    def noted(self: Pipeline) -> None:
        for count in counts:
            count.statements += [query for query, _, _ in self._queue]
            count.round_trips += bool(self._queue)
        run(self)

    monkeypatch.setattr(Pipeline, "run", noted)

    @contextmanager
    def counting() -> Iterator[Count]:
        count = Count()
        counts.append(count)
        with CaptureQueriesContext(connection) as queries:
            yield count
        counts.remove(count)
        count.statements += [query["sql"] for query in queries]

    return counting


@pytest.fixture
def tenant() -> Iterator[Tenant]:
    clock.use(lambda: NOW)
    make_meter()
    made = make_tenant(make_version([PER_TOKEN]), balance="1000", overdraft=Decimal(0))
    charge(made, "first", properties={"tokens": 1})
    yield made
    clock.use(None)


def holds(tenant: Tenant, keys: range) -> list[ChargeRequest]:
    return [request(tenant, f"hold-{key}", Mode.HOLD, properties={"tokens": 10}) for key in keys]


def captures(tenant: Tenant, held: list[Outcome]) -> list[ChargeRequest]:
    asked = []
    for one in held:
        assert isinstance(one, Authorized)
        asked.append(request(tenant, f"capture-{one.id}", properties={"tokens": 9}))
        asked[-1].authorization = CaptureTerms(one.customer_id, one.id, tenant.workspace.pk)
    return asked


def test_a_charge_of_a_payer_that_holds_nothing_reads_and_writes_no_holds(
    tenant: Tenant, counted: Callable[[], Any]
) -> None:
    with counted() as count:
        charge(tenant, "a", properties={"tokens": 1})
    assert count.about("billing_authorization") == 0
    assert count.round_trips == 2


def test_a_charge_of_a_payer_that_holds_something_reads_what_is_over_in_one_statement(
    tenant: Tenant, counted: Callable[[], Any]
) -> None:
    charge_many(holds(tenant, range(50)))
    with counted() as count:
        charge(tenant, "a", properties={"tokens": 1})
    assert (count.about("billing_authorization"), count.round_trips) == (1, 3)
    clock.use(lambda: NOW + timedelta(minutes=10))
    with counted() as settling:
        charge(tenant, "b", properties={"tokens": 1})
    assert settling.about("billing_authorization") == 2, "one to read, one to write"
    with counted() as after:
        charge(tenant, "c", properties={"tokens": 1})
    assert after.about("billing_authorization") == 0


def test_authorizing_and_capturing_cost_the_same_statements_for_one_and_for_many(
    tenant: Tenant, counted: Callable[[], Any]
) -> None:
    with counted() as one:
        first = charge_many(holds(tenant, range(1)))
    with counted() as many:
        rest = charge_many(holds(tenant, range(1, 60)))
    assert len(many.statements) == len(one.statements) + 1, "the second one finds something held"
    assert one.about("billing_authorization") == 1
    with counted() as capture:
        charge_many(captures(tenant, first))
    with counted() as all_captures:
        charge_many(captures(tenant, rest))
    assert len(all_captures.statements) == len(capture.statements)
    assert capture.about("billing_authorization") == 2, "one to read with the rest, one to write"
    assert capture.round_trips == 2
    with counted() as plain:
        charge(tenant, "plain", properties={"tokens": 1})
    assert len(capture.statements) == len(plain.statements) + 2


def test_replays_cost_one_statement_more_however_many(tenant: Tenant, counted: Callable[[], Any]) -> None:
    charge_many(holds(tenant, range(60)))
    with counted() as one:
        charge_many(holds(tenant, range(1)))
    with counted() as many:
        again = charge_many(holds(tenant, range(60)))
    assert all(isinstance(outcome, Authorized) and outcome.is_replay for outcome in again)
    assert len(one.statements) == len(many.statements)
