"""Leases: drawn once, spent without a call, reported in batches, settled exactly once, returned."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.client.scripted import DENIAL, HOLD, Script, answer, error, lost, script, well
from tests.client.test_backlog import wait_until
from tollgate_client import AsyncLease, Client, Denied, Event, Lease, LeaseDenied, Unreachable

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
CENT = Decimal("0.01")
Work = Callable[[Any], object]


def in_a_with(server: Script, work: Callable[[Lease], object], **more: Any) -> Client:
    options = {"report_seconds": 60.0, "price": CENT, "workspace": "w1", **more}
    with (
        server.client(clock=lambda: NOON, backlog_seconds=60, retries=0) as client,
        client.lease(Decimal(5), expires_in=300, **options) as lease,
    ):
        work(lease)
    return client


def in_an_async_with(server: Script, work: Callable[[AsyncLease], object], **more: Any) -> Any:
    options = {"report_seconds": 60.0, "price": CENT, "workspace": "w1", **more}

    async def run() -> Any:
        async with (
            server.async_client(clock=lambda: NOON, backlog_seconds=60, retries=0) as client,
            client.lease(Decimal(5), expires_in=300, **options) as lease,
        ):
            work(lease)
        return client

    return asyncio.run(run())


BOTH = pytest.mark.parametrize("run", [in_a_with, in_an_async_with], ids=["threads", "asyncio"])


def three(lease: Lease | AsyncLease) -> None:
    for key in "abc":
        lease.spend("completion", properties={"tokens": 1}, idempotency_key=key)


@BOTH
def test_a_lease_is_drawn_spent_reported_at_its_end_and_returned(run: Callable[..., Any]) -> None:
    server = script()
    run(server, three)
    assert server.verbs == ["leases", "report", "return"]
    drawn = server.bodies[0]
    assert drawn.pop("idempotency_key")
    assert drawn == {"workspace": "w1", "amount": "5", "expires_in": 300}
    assert server.bodies[1]["events"][0] == {
        "idempotency_key": "a",
        "event": "completion",
        "workspace": "w1",
        "occurred_at": "2026-03-01T12:00:00+00:00",
        "properties": {"tokens": 1},
    }


@BOTH
def test_user_and_trace_are_those_of_its_calls(run: Callable[..., Any]) -> None:
    server = script()
    run(server, three, user="u1", trace="t1")
    assert server.bodies[0].keys() == {"workspace", "amount", "expires_in", "idempotency_key"}
    assert {(event["user"], event["trace"]) for event in server.bodies[1]["events"]} == {("u1", "t1")}


@BOTH
def test_deciding_needs_no_call(run: Callable[..., Any]) -> None:
    server = script()

    def work(lease: Any) -> None:
        for _ in range(400):
            lease.spend("completion")
        with pytest.raises(LeaseDenied):
            lease.spend("completion")
        assert server.verbs == ["leases"]
        assert lease.left == 0

    run(server, work, unreported=1000)


@BOTH
def test_the_hold_is_the_allowance(run: Callable[..., Any]) -> None:
    """The server may hold less than was asked for."""
    run(script(answer(201, HOLD)), lambda lease: _is_four(lease))


def _is_four(lease: Any) -> None:
    assert (lease.id, lease.left) == ("auth_1", Decimal(4))


@BOTH
def test_a_denied_lease_is_never_entered(run: Callable[..., Any]) -> None:
    with pytest.raises(Denied):
        run(script(answer(402, DENIAL)), lambda lease: pytest.fail("it was denied"))


@BOTH
def test_each_call_may_say_what_it_costs(run: Callable[..., Any]) -> None:
    def work(lease: Any) -> None:
        lease.spend("completion", Decimal("1.50"))
        lease.spend(Event("completion", workspace="w2"), Decimal("2.50"))
        assert lease.left == 0

    server = script()
    run(server, work, price=None)
    assert [event["workspace"] for event in server.bodies[1]["events"]] == ["w1", "w2"]


@BOTH
def test_a_price_may_depend_on_the_event(run: Callable[..., Any]) -> None:
    def work(lease: Any) -> None:
        lease.spend("completion", properties={"tokens": 300})
        assert lease.left == Decimal(1)

    run(script(), work, price=lambda event: event.properties["tokens"] * CENT)


@BOTH
def test_without_any_price_nothing_passes(run: Callable[..., Any]) -> None:
    def work(lease: Any) -> None:
        with pytest.raises(ValueError, match="price"):
            lease.spend("completion")

    run(script(), work, price=None)


@BOTH
def test_a_report_whose_answer_is_lost_at_the_end_goes_on_as_a_report_of_events(
    run: Callable[..., Any],
) -> None:
    """The same keys: what the lost report did already, it does not do again."""
    server = script(answer(201, HOLD), lost())
    client = run(server, three)
    assert server.verbs == ["leases", "report", "events"]
    assert sent_keys(server) == [["a", "b", "c"]] * 2
    assert client.backlog.state.reported == 3


def sent_keys(server: Script) -> list[list[str]]:
    return [
        [event["idempotency_key"] for event in body["events"]] for body in server.bodies if "events" in body
    ]


@BOTH
def test_a_lease_that_is_over_on_the_other_side_reports_its_calls_as_events(run: Callable[..., Any]) -> None:
    server = script(answer(201, HOLD), error(409, "lease_expired"))
    run(server, three)
    assert server.verbs == ["leases", "report", "events", "return"]
    assert sent_keys(server) == [["a", "b", "c"]] * 2


@BOTH
def test_a_return_that_fails_leaves_the_lease_to_expire(run: Callable[..., Any]) -> None:
    server = script(answer(201, HOLD), well_report(), error(503))
    client = run(server, three)
    assert server.verbs == ["leases", "report", "return"]
    assert client.backlog.state.waiting == 0


def well_report() -> httpx.Response:
    return answer(200, {"accepted": 3, "errors": []})


@BOTH
def test_an_exception_ends_the_lease_all_the_same(run: Callable[..., Any]) -> None:
    def work(lease: Any) -> None:
        three(lease)
        raise RuntimeError("boom")

    server = script()
    with pytest.raises(RuntimeError, match="boom"):
        run(server, work)
    assert server.verbs == ["leases", "report", "return"]


def test_calls_are_reported_in_the_background_and_again_after_a_failure() -> None:
    server = Script([answer(201, HOLD), lost(), error(503)], otherwise=well)

    def work(lease: Lease) -> None:
        three(lease)
        wait_until(lambda: lease.allowance.unreported == 0)
        assert sent_keys(server) == [["a", "b", "c"]] * 3
        lease.spend("completion", idempotency_key="d")
        wait_until(lambda: lease.allowance.unreported == 0)

    in_a_with(server, work, report_seconds=0.01)
    assert sent_keys(server)[-1] == ["d"]
    assert server.verbs[-1] == "return"


def test_asyncio_reports_in_the_background_too() -> None:
    server = Script([answer(201, HOLD), lost()], otherwise=well)

    async def run() -> None:
        async with server.async_client(retries=0) as client:
            lease = await client.lease(Decimal(4), price=CENT, report_seconds=0.01, workspace="w1")
            three(lease)
            while lease.allowance.unreported:
                await asyncio.sleep(0.005)
            await lease.aclose()

    asyncio.run(run())
    assert server.verbs == ["leases", "report", "report", "return"]


def test_a_close_that_finds_no_room_may_be_called_again() -> None:
    server = script(answer(201, HOLD), lost())
    with server.client(retries=0, backlog=2, backlog_seconds=60) as client:
        lease = client.lease(Decimal(4), price=CENT, report_seconds=60, workspace="w1")
        three(lease)
        with pytest.raises(Unreachable):
            lease.close()
        assert lease.allowance.unreported == 1
        lease.close()
    assert server.verbs == ["leases", "report", "report", "return", "events"]
    assert sent_keys(server) == [["a", "b", "c"], ["c"], ["a", "b"]]


def test_drawing_is_asked_for_again_under_the_same_key() -> None:
    server = script(lost(), answer(201, HOLD))
    with server.client() as client:
        client.lease(Decimal(4), workspace="w1").close()
    assert server.requests[0].content == server.requests[1].content


def test_a_refused_call_is_logged_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    server = script()

    def work(lease: Lease) -> None:
        lease.spend("bad", idempotency_key="x")
        lease.spend("good", idempotency_key="y")

    in_a_with(server, work)
    assert "Call x was refused" in caplog.text
    assert sent_keys(server) == [["x", "y"]]
