"""Leases against Tollgate itself: held, spent here, charged there, each call once, the rest given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from billing.models import Authorization, Charge
from core import clock
from tests.api_client import Api
from tests.billing.world import Tenant, balance
from tests.client.conftest import QUICK
from tests.client.test_authorizing import Losing
from tests.client.test_charging import name, tenant
from tollgate_client import AsyncClient, Client, Denied, Event, Lease, LeaseDenied

ZERO = Decimal(0)
PRICE = Decimal("0.01")
"""What a token costs."""


def by_tokens(event: Event) -> Decimal:
    return PRICE * int(event.properties["tokens"])


def draw(client: Client, of: Tenant, amount: str = "5", **more: Any) -> Lease:
    options = {"price": by_tokens, "report_seconds": 3600, "workspace": name(of), **more}
    return client.lease(Decimal(amount), **options)


def spend(lease: Any, tokens: int, **more: Any) -> None:
    lease.spend("completion", properties={"tokens": tokens}, **more)


def row(of: Tenant) -> Authorization:
    return Authorization.objects.get(billing_entity_id=of.payer.pk, kind="lease")


def charges(of: Tenant) -> list[Decimal]:
    return [one.amount for one in Charge.objects.filter(billing_entity_id=of.payer.pk).order_by("seq")]


def test_a_lease_is_held_spent_reported_and_returned(in_process: Client) -> None:
    one = tenant("10", overdraft=ZERO)
    with draw(in_process, one) as lease:
        assert (row(one).held, in_process.balance(name(one)).available) == (Decimal(5), Decimal(5))
        for tokens in (100, 50, 25):
            spend(lease, tokens)
        assert (lease.left, lease.allowance.exposure) == (Decimal("3.25"), Decimal("1.75"))
        assert charges(one) == []
    assert charges(one) == [Decimal(1), Decimal("0.5"), Decimal("0.25")]
    answer = in_process.balance(name(one))
    assert (answer.available, answer.held) == (Decimal("8.25"), ZERO)
    assert balance(one) == Decimal("8.25")


def test_it_stops_hard_at_what_it_holds(in_process: Client) -> None:
    one = tenant("10", overdraft=ZERO)
    with draw(in_process, one) as lease:
        spend(lease, 499)
        with pytest.raises(LeaseDenied):
            spend(lease, 2)
        spend(lease, 1)
        with pytest.raises(LeaseDenied):
            spend(lease, 1)
    assert balance(one) == Decimal(5)


def test_more_than_there_is_cannot_be_drawn(in_process: Client) -> None:
    one = tenant("10", overdraft=ZERO)
    first = draw(in_process, one, "6")
    with pytest.raises(Denied) as raised:
        draw(in_process, one, "6")
    assert raised.value.reason == "insufficient_funds"
    with pytest.raises(Denied):
        in_process.charge("completion", workspace=name(one), properties={"tokens": 401})
    first.close()
    draw(in_process, one, "10").close()


def test_what_a_report_says_is_left_counts(in_process: Client) -> None:
    """The price given is the most that a call costs; what it did cost is known from the server."""
    one = tenant("10", overdraft=ZERO)
    with draw(in_process, one, price=Decimal(2)) as lease:
        spend(lease, 10)
        spend(lease, 20)
        assert lease.left == Decimal(1)
        lease.flush()
        assert lease.left == row(one).held == Decimal("4.70")
    assert balance(one) == Decimal("9.70")


@pytest.fixture
def forgetful(losing: Losing) -> Iterator[Client]:
    transport = httpx.MockTransport(losing)
    secret = Api("admin").secret
    with Client(
        "http://testserver", secret, retries=QUICK, transport=transport, backlog_seconds=3600
    ) as client:
        yield client


@pytest.fixture
def losing(way: httpx.MockTransport) -> Losing:
    return Losing(way)


def test_lost_answers_settle_nothing_twice(forgetful: Client, losing: Losing) -> None:
    one = tenant("10", overdraft=ZERO)
    losing.loses = {"leases": 2, "report": 3, "return": 1}
    with draw(forgetful, one) as lease:
        assert lease.left == Decimal(5)
        spend(lease, 100)
        spend(lease, 50)
    assert losing.lost == 6
    assert charges(one) == [Decimal(1), Decimal("0.5")]
    assert Authorization.objects.filter(kind="lease").count() == 1
    assert forgetful.balance(name(one)).available == Decimal("8.5")


def test_calls_whose_report_was_never_answered_count_once(forgetful: Client, losing: Losing) -> None:
    """The lease's own report acted but stayed unanswered; the events reported later add nothing."""
    one = tenant("10", overdraft=ZERO)
    losing.loses = {"report": 4}
    with draw(forgetful, one) as lease:
        spend(lease, 100)
        spend(lease, 50)
    assert forgetful.backlog.state.waiting == 2
    forgetful.flush()
    assert charges(one) == [Decimal(1), Decimal("0.5")]
    assert forgetful.backlog.state.reported == 2


@pytest.fixture
def an_hour_later() -> Iterator[Callable[[], None]]:
    yield lambda: clock.use(lambda: clock.system_now() + timedelta(hours=1))
    clock.use(None)


def test_calls_that_are_reported_after_its_time_are_charged_all_the_same(
    in_process: Client, an_hour_later: Callable[[], None]
) -> None:
    one = tenant("10", overdraft=ZERO)
    with draw(in_process, one) as lease:
        spend(lease, 100)
        an_hour_later()
        assert in_process.balance(name(one)).available == Decimal(10)
    assert charges(one) == [Decimal(1)]
    assert in_process.balance(name(one)).available == Decimal(9)


@pytest.mark.django_db(transaction=True)
def test_threads_spend_one_lease_while_it_reports_in_the_background(over_http: Client) -> None:
    one = tenant("20", overdraft=ZERO)

    def work(_: int) -> int:
        passed = 0
        for _ in range(100):
            try:
                spend(lease, 2)
                passed += 1
            except LeaseDenied:
                pass
        return passed

    with draw(over_http, one, "10", report_seconds=0.05) as lease, ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(work, range(8)))
    assert passed == 500
    assert len(charges(one)) == 500
    assert balance(one) == Decimal(10)
    assert over_http.balance(name(one)).held == ZERO


@pytest.mark.django_db(transaction=True)
def test_asyncio_spends_a_lease(live_server: Any) -> None:
    one = tenant("10", overdraft=ZERO)
    secret = Api("admin").secret

    async def run() -> None:
        async with AsyncClient(str(live_server), secret, retries=QUICK) as client:
            options: dict[str, Any] = {"price": by_tokens, "report_seconds": 0.02, "workspace": name(one)}
            async with client.lease(Decimal(3), **options) as lease:
                for _ in range(3):
                    spend(lease, 50)
                await asyncio.sleep(0.3)
                spend(lease, 150)
                with pytest.raises(LeaseDenied):
                    spend(lease, 1)

    asyncio.run(run())
    assert (balance(one), len(charges(one))) == (Decimal(7), 4)
