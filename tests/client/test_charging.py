"""The client against Tollgate itself: charges, reports, balance, usage."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.keys import issue_api_key
from tests.api_client import Api
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version
from tests.client.conftest import QUICK
from tollgate_client import (
    AsyncClient,
    Client,
    Conflict,
    Denied,
    Event,
    InvalidRequest,
    NotFound,
    Unauthenticated,
)

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}


def tenant(money: str = "10", **payer: Any) -> Tenant:
    make_meter()
    return make_tenant(make_version([PER_TOKEN]), balance=money, **payer)


def name(of: Tenant) -> str:
    return str(of.workspace.external_id)


def test_a_charge_is_answered_with_price_position_and_balance(in_process: Client) -> None:
    one = tenant()
    charge = in_process.charge("completion", workspace=name(one), properties={"tokens": 812})
    assert (charge.status, charge.amount, charge.currency, charge.cost) == (
        "charged",
        Decimal("8.12"),
        "USD",
        None,
    )
    (line,) = charge.lines
    assert (line.component, line.meter, line.quantity, line.amount) == (
        "tok",
        "tokens",
        Decimal(812),
        Decimal("8.12"),
    )
    assert line.position == (Decimal(0), Decimal(812))
    assert charge.balance is not None
    assert charge.balance.available == Decimal("1.88")
    assert charge.id.startswith("ch_")
    assert not charge.is_replay
    assert balance(one) == Decimal("1.88")


def test_the_same_key_again_is_a_replay_and_another_payload_a_conflict(in_process: Client) -> None:
    one = tenant()
    first = in_process.charge(
        "completion", workspace=name(one), properties={"tokens": 1}, idempotency_key="k"
    )
    again = in_process.charge(
        "completion", workspace=name(one), properties={"tokens": 1}, idempotency_key="k"
    )
    assert again.is_replay
    assert again.id == first.id
    with pytest.raises(Conflict) as raised:
        in_process.charge("completion", workspace=name(one), properties={"tokens": 2}, idempotency_key="k")
    assert "properties.tokens" in str(raised.value)
    assert balance(one) == Decimal("9.99")


def test_decimals_of_any_notation_arrive_exactly(in_process: Client) -> None:
    one = tenant()
    charge = in_process.charge("completion", workspace=name(one), properties={"tokens": Decimal("1.5E-1")})
    assert charge.lines[0].quantity == Decimal("0.15")
    assert charge.amount == Decimal("0.0015")


def test_a_denial_leaves_all_as_it_was(in_process: Client) -> None:
    one = tenant("1", overdraft=Decimal(0))
    with pytest.raises(Denied) as raised:
        in_process.charge("completion", workspace=name(one), properties={"tokens": 101}, idempotency_key="k")
    denied = raised.value
    assert (denied.reason, denied.level, denied.retryable) == ("insufficient_funds", "billing_entity", True)
    assert denied.level_id == one.payer.public_id
    assert denied.balance is not None
    assert denied.balance.available == Decimal(1)
    charge = in_process.charge(
        "completion", workspace=name(one), properties={"tokens": 100}, idempotency_key="k"
    )
    assert charge.amount == Decimal(1), "a denial uses no key up"


def test_an_event_that_nothing_prices_costs_nothing(in_process: Client) -> None:
    one = tenant()
    charge = in_process.charge("login", workspace=name(one))
    assert (charge.status, charge.amount, charge.lines) == ("charged", Decimal(0), ())


def test_a_key_that_only_recorded_something_says_so(in_process: Client) -> None:
    one = tenant()
    in_process.report([Event("login", workspace=name(one), idempotency_key="k")])
    charge = in_process.charge("login", workspace=name(one), idempotency_key="k")
    assert (charge.status, charge.amount, charge.currency, charge.balance) == ("recorded", 0, None, None)
    assert charge.is_replay


def test_a_charge_may_name_the_key_that_called(in_process: Client) -> None:
    one = tenant()
    secret = issue_api_key(workspace=one.workspace, name="main").secret
    assert in_process.charge("completion", api_key=secret, properties={"tokens": 3}).amount == Decimal("0.03")
    with pytest.raises(NotFound) as raised:
        in_process.charge("completion", api_key="sk_somebody_elses", properties={"tokens": 3})
    assert raised.value.code == "unknown_key"


def test_a_malformed_request_names_its_field(in_process: Client) -> None:
    with pytest.raises(InvalidRequest) as raised:
        in_process.charge("completion", properties={"tokens": 1})
    assert (raised.value.status, raised.value.param) == (400, "workspace")
    assert raised.value.request_id


def test_reports_are_counted_and_a_repeat_adds_nothing(in_process: Client) -> None:
    one = tenant()
    events = [
        Event("completion", workspace=name(one), properties={"tokens": 10}),
        Event("completion", workspace=name(one), properties={"tokens": 20}),
        Event("login", workspace=name(one)),
        Event("", workspace=name(one)),
        Event("completion", workspace="nobody"),
    ]
    report = in_process.report(events)
    assert (report.accepted, report.unmatched, report.rejected, report.quarantined) == (3, 1, 1, 1)
    assert [(error.index, error.param) for error in report.errors] == [(3, "event")]
    again = in_process.report(events)
    assert (again.accepted, again.duplicates) == (0, 3)
    assert balance(one) == Decimal("9.70")


def test_reported_usage_is_recorded_below_zero(in_process: Client) -> None:
    one = tenant("0.05", overdraft=Decimal(0))
    report = in_process.report([Event("completion", workspace=name(one), properties={"tokens": 10})])
    assert report.accepted == 1
    assert in_process.balance(name(one)).available == Decimal("-0.05")


def test_the_balance_says_whether_it_can_spend(in_process: Client) -> None:
    one = tenant("3", overdraft=Decimal(0))
    answer = in_process.balance(name(one))
    assert (answer.available, answer.settled, answer.held, answer.owed) == (3, 3, 0, 0)
    assert (answer.currency, answer.status, answer.can_spend, answer.is_unbounded) == (
        "USD",
        "active",
        True,
        False,
    )
    assert in_process.balance(billing_entity=one.payer.public_id) == answer


def test_usage_comes_as_series(in_process: Client) -> None:
    one = tenant()
    now = datetime.now(UTC)
    for tokens in (5, 7):
        in_process.charge("completion", workspace=name(one), properties={"tokens": tokens})
    usage = in_process.usage(
        workspace=name(one), meter=["tokens"], start=now - timedelta(hours=2), granularity="hour"
    )
    (series,) = usage.series
    assert (series.meter, series.total, series.events) == ("tokens", Decimal(12), 2)
    assert sum(point.value or 0 for point in series.points) == 12
    assert usage.start < now < usage.end
    assert usage.as_of >= now
    assert usage.granularity == "hour"


def test_a_wrong_key_is_told_at_once(in_process: Client) -> None:
    in_process._http.headers["Authorization"] = "Bearer tg_wrong"
    with pytest.raises(Unauthenticated):
        in_process.charge("completion", workspace="w1")


@pytest.mark.django_db(transaction=True)
def test_threads_share_a_client_and_each_charge_counts_once(over_http: Client) -> None:
    one = tenant("100", overdraft=Decimal(0))

    def charge(number: int) -> Decimal:
        key = f"k{number % 20}"  # each key twice
        return over_http.charge(
            "completion", workspace=name(one), properties={"tokens": 10}, idempotency_key=key
        ).amount

    with ThreadPoolExecutor(8) as pool:
        amounts = list(pool.map(charge, range(40)))
    assert amounts == [Decimal("0.1")] * 40
    assert balance(one) == Decimal(98)


@pytest.mark.django_db(transaction=True)
def test_the_backlog_reaches_tollgate(over_http: Client) -> None:
    one = tenant("1")
    for number in range(30):
        over_http.report_later(
            Event("completion", workspace=name(one), properties={"tokens": 1}, idempotency_key=f"k{number}")
        )
    over_http.flush()
    assert over_http.backlog.state.reported == 30
    assert balance(one) == Decimal("0.7")


@pytest.mark.django_db(transaction=True)
def test_asyncio_charges_reports_and_reads(live_server: Any) -> None:
    one = tenant("1", overdraft=Decimal(0))
    secret = Api("admin").secret

    async def run() -> Decimal:
        async with AsyncClient(str(live_server), secret, retries=QUICK) as client:
            calls = (
                client.charge("completion", workspace=name(one), properties={"tokens": 2}) for _ in range(10)
            )
            charges = await asyncio.gather(*calls)
            assert {charge.amount for charge in charges} == {Decimal("0.02")}
            report = await client.report([Event("completion", workspace=name(one), properties={"tokens": 3})])
            assert report.accepted == 1
            with pytest.raises(Denied):
                await client.charge("completion", workspace=name(one), properties={"tokens": 78})
            usage = await client.usage(workspace=name(one))
            assert usage.series[0].total == 23
            client.report_later(Event("completion", workspace=name(one), properties={"tokens": 7}))
            return (await client.balance(name(one))).available

    assert asyncio.run(run()) == Decimal("0.77")
    assert balance(one) == Decimal("0.70")
