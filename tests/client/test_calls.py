"""Holds by the rules of a `with`: captured, voided, or left to expire, whatever goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.client.scripted import DENIAL, HOLD, Script, answer, error, lost, script, well
from tollgate_client import (
    AsyncCall,
    AsyncClient,
    AuthorizationExpired,
    Call,
    Client,
    Cost,
    Denied,
    InvalidRequest,
    Unreachable,
)

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EXPIRED = error(409, "authorization_expired")
EXPECTED = {"tokens": 400, "model": "small"}


class Boom(Exception):
    pass


def options(**more: Any) -> dict[str, Any]:
    return {"clock": lambda: NOON, "backlog_seconds": 60, **more}


def in_a_with(server: Script, work: Callable[[Call], object], **more: Any) -> Client:
    with (
        server.client(**options(**more)) as client,
        client.authorize("completion", workspace="w1", properties=EXPECTED, idempotency_key="k") as call,
    ):
        work(call)
    return client


def in_an_async_with(
    server: Script, work: Callable[[AsyncCall], Awaitable[object]], **more: Any
) -> AsyncClient:
    async def run() -> AsyncClient:
        async with (
            server.async_client(**options(**more)) as client,
            client.authorize("completion", workspace="w1", properties=EXPECTED, idempotency_key="k") as call,
        ):
            await work(call)
        return client

    return asyncio.run(run())


async def nothing(call: AsyncCall) -> None:
    """Leave at once."""


def test_what_is_authorized_is_the_event_with_amount_and_time() -> None:
    server = script()
    with server.client() as client:
        client.authorize("completion", workspace="w1", amount=Decimal("2.50"), expires_in=30)
        client.authorize("completion", workspace="w1", expires_in=timedelta(minutes=2))
        client.authorize("completion", workspace="w1", properties={"tokens": 5})
    first, second, third = server.bodies
    assert (first["amount"], first["expires_in"]) == ("2.50", 30)
    assert second["expires_in"] == 120
    assert third["properties"] == {"tokens": 5}
    assert "amount" not in third
    assert "expires_in" not in third


def test_a_call_knows_its_hold() -> None:
    with script().client() as client:
        call = client.authorize("completion", workspace="w1")
    assert (call.id, call.amount) == ("auth_1", Decimal(4))
    assert call.expires_at == datetime(2026, 3, 1, 12, 10, tzinfo=UTC)
    assert call.balance is not None
    assert call.balance.held == Decimal(4)


def test_leaving_after_a_capture_voids_nothing() -> None:
    server = script()
    in_a_with(server, lambda call: call.capture({"tokens": 3}, over="cap"))
    in_an_async_with(server, lambda call: call.capture({"tokens": 3}, over="cap"))
    assert server.verbs == ["authorizations", "capture"] * 2
    assert server.bodies[1] == server.bodies[3] == {"properties": {"tokens": 3}, "over": "cap"}


def test_a_capture_may_bring_costs_a_user_and_a_key() -> None:
    server = script()
    costs = [Cost("openai", Decimal("0.01"))]
    in_a_with(server, lambda call: call.capture({}, costs=costs, user="u", idempotency_key="mine"))
    assert server.bodies[1] == {
        "properties": {},
        "costs": [{"vendor": "openai", "amount": "0.01", "currency": "USD"}],
        "user": "u",
        "idempotency_key": "mine",
    }


def test_a_capture_without_properties_takes_what_was_expected() -> None:
    server = script()
    in_a_with(server, lambda call: call.capture())
    assert server.bodies[1] == {}


def test_leaving_without_a_capture_voids() -> None:
    server = script()
    in_a_with(server, lambda call: None)
    in_an_async_with(server, nothing)
    assert server.verbs == ["authorizations", "void"] * 2


def test_an_exception_voids_and_goes_on() -> None:
    server = script()

    def fail(call: Any) -> Any:
        raise Boom

    with pytest.raises(Boom):
        in_a_with(server, fail)
    with pytest.raises(Boom):
        in_an_async_with(server, fail)
    assert server.verbs == ["authorizations", "void"] * 2


def test_usage_that_cannot_be_written_is_never_sent_and_voids() -> None:
    server = script()
    with pytest.raises(ValueError, match="not JSON compliant"):
        in_a_with(server, lambda call: call.capture({"tokens": float("nan")}))
    assert server.verbs == ["authorizations", "void"]


def test_a_hold_that_cannot_be_voided_is_left_to_expire() -> None:
    server = Script([answer(201, HOLD)], otherwise=lambda _: error(503))
    in_a_with(server, lambda call: None)
    assert server.verbs == ["authorizations", *["void"] * 4]


def test_a_failing_void_does_not_hide_the_callers_exception() -> None:
    server = Script([answer(201, HOLD)], otherwise=lambda _: error(409, "authorization_expired"))

    def fail(call: Call) -> None:
        raise Boom

    with pytest.raises(Boom):
        in_a_with(server, fail)


def test_a_denied_authorization_never_enters() -> None:
    def enter(call: Any) -> Any:
        raise AssertionError("it was denied")

    for run in (in_a_with, in_an_async_with):
        server = script(answer(402, DENIAL))
        with pytest.raises(Denied):
            run(server, enter)
        assert server.verbs == ["authorizations"]


@pytest.mark.parametrize("step", [lost(), error(503), error(429)], ids=str)
def test_a_lost_answer_is_asked_for_again_with_the_same_body(step: httpx.Response | Exception) -> None:
    server = script(step, answer(201, HOLD), step)
    in_a_with(server, lambda call: call.capture({"tokens": 3}))
    assert server.verbs == ["authorizations", "authorizations", "capture", "capture"]
    assert server.requests[0].content == server.requests[1].content
    assert server.requests[2].content == server.requests[3].content


def test_a_capture_without_any_answer_is_not_voided() -> None:
    """It may have been booked; and what was used was used."""

    def never(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("slow")

    server = Script([answer(201, HOLD)], otherwise=never)
    with pytest.raises(Unreachable):
        in_a_with(server, lambda call: call.capture({"tokens": 3}))
    assert server.verbs == ["authorizations", *["capture"] * 4]


def test_a_refused_capture_leaves_the_hold_to_be_voided() -> None:
    for run in (in_a_with, in_an_async_with):
        server = script(answer(201, HOLD), answer(402, DENIAL))
        with pytest.raises(Denied):
            run(server, lambda call: call.capture({"tokens": 9_000}))
        assert server.verbs == ["authorizations", "capture", "void"]


def test_a_refused_capture_may_be_followed_by_another() -> None:
    server = script(answer(201, HOLD), answer(402, DENIAL))

    def work(call: Call) -> None:
        with suppress(Denied):
            call.capture({"tokens": 9_000})
        call.capture({"tokens": 9_000}, over="cap")

    in_a_with(server, work)
    assert server.verbs == ["authorizations", "capture", "capture"]


def test_a_voided_or_extended_call_shows_it() -> None:
    server = script()

    def work(call: Call) -> None:
        call.extend(timedelta(minutes=40))
        assert call.expires_at == datetime(2026, 3, 1, 12, 40, tzinfo=UTC)
        assert call.void().status == "voided"

    in_a_with(server, work)
    assert server.verbs == ["authorizations", "extend", "void"]
    assert server.bodies[1] == {"expires_in": 2400}


LATE = {
    "idempotency_key": "k",
    "event": "completion",
    "workspace": "w1",
    "occurred_at": "2026-03-01T12:00:00+00:00",
    "properties": {"tokens": 3},
}


@pytest.mark.parametrize("refusal", [EXPIRED, answer(402, DENIAL)], ids=["expired", "denied"])
def test_settling_reports_what_a_capture_refuses(refusal: httpx.Response) -> None:
    for run in (in_a_with, in_an_async_with):
        server = script(answer(201, HOLD), refusal)
        run(server, lambda call: call.settle({"tokens": 3}))
        assert server.verbs == ["authorizations", "capture", "events"]
        assert server.bodies[1] == {"properties": {"tokens": 3}, "over": "overdraft"}
        assert server.bodies[2] == {"events": [LATE]}


def test_settling_reports_later_what_had_no_answer_under_the_holds_key() -> None:
    for run in (in_a_with, in_an_async_with):
        server = script(answer(201, HOLD), lost())
        client = run(server, lambda call: call.settle({"tokens": 3}), retries=0)
        assert server.verbs == ["authorizations", "capture", "events"]
        assert server.bodies[2] == {"events": [LATE]}
        assert client.backlog.state.reported == 1


def test_what_is_reported_instead_says_all_that_the_capture_said() -> None:
    server = script(answer(201, HOLD), EXPIRED)
    costs = [Cost("openai", Decimal("0.01"))]
    in_a_with(
        server,
        lambda call: call.settle({"tokens": 3}, costs=costs, user="u", trace="t", idempotency_key="mine"),
    )
    captured, reported = server.bodies[1], server.bodies[2]["events"][0]
    assert captured.pop("over") == "overdraft"
    assert reported == LATE | captured
    assert reported["idempotency_key"] == "mine"


def test_settling_reports_later_when_the_report_has_no_answer_either() -> None:
    for run in (in_a_with, in_an_async_with):
        server = script(answer(201, HOLD), EXPIRED, error(503))
        client = run(server, lambda call: call.settle({"tokens": 3}), retries=0)
        assert server.verbs == ["authorizations", "capture", "events", "events"]
        assert server.bodies[2] == server.bodies[3]
        assert client.backlog.state.reported == 1


def test_settling_says_so_when_nothing_can_keep_the_usage() -> None:
    for run in (in_a_with, in_an_async_with):
        server = script(answer(201, HOLD), lost())
        with pytest.raises(Unreachable):
            run(server, lambda call: call.settle({"tokens": 3}), retries=0, backlog=0)


def test_settling_says_so_when_the_report_is_refused() -> None:
    refused = {"rejected": 1, "errors": [{"index": 0, "error": {"code": "c", "message": "m", "param": "p"}}]}
    for run in (in_a_with, in_an_async_with):
        server = script(answer(201, HOLD), EXPIRED, answer(200, refused))
        with pytest.raises(InvalidRequest) as raised:
            run(server, lambda call: call.settle({"tokens": 3}))
        assert raised.value.param == "p"


def test_settling_does_not_swallow_a_mistake_of_the_callers() -> None:
    server = script(answer(201, HOLD), error(400))
    with pytest.raises(InvalidRequest):
        in_a_with(server, lambda call: call.settle({"tokens": "many"}))
    assert server.verbs == ["authorizations", "capture", "void"]


def test_an_expired_capture_is_the_callers_unless_it_settles() -> None:
    server = script(answer(201, HOLD), EXPIRED)
    with pytest.raises(AuthorizationExpired):
        in_a_with(server, lambda call: call.capture({"tokens": 3}))


def test_an_async_call_may_be_awaited_without_a_with() -> None:
    server = script()

    async def run() -> None:
        async with server.async_client() as client:
            call = await client.authorize("completion", workspace="w1")
            await call.extend(60)
            await call.capture({"tokens": 1})

    asyncio.run(run())
    assert server.verbs == ["authorizations", "extend", "capture"]


class Slow:
    """Answers an authorization or a capture only when it is told to."""

    def __init__(self, verb: str) -> None:
        self.verb = verb
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.script = script()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith(self.verb):
            self.asked.set()
            await self.go_on.wait()
        self.script.requests.append(request)
        return well(request)

    async def run(self, work: Callable[[AsyncClient], Awaitable[object]]) -> list[str]:
        """Cancel the work when the slow verb is under way; what was asked for by the end."""
        async with AsyncClient("http://t.test", "tg", transport=httpx.MockTransport(self)) as client:
            task = asyncio.ensure_future(work(client))
            await self.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            self.go_on.set()
        return self.script.verbs


def test_a_capture_is_seen_through_when_its_caller_is_cancelled() -> None:
    async def work(client: AsyncClient) -> None:
        async with client.authorize("completion", workspace="w1") as call:
            await call.capture({"tokens": 3})

    async def run() -> list[str]:
        return await Slow("capture").run(work)

    assert asyncio.run(run()) == ["authorizations", "capture"]


def test_a_hold_is_given_back_when_its_caller_is_cancelled_before_the_answer() -> None:
    async def work(client: AsyncClient) -> None:
        await client.authorize("completion", workspace="w1")

    async def run() -> list[str]:
        return await Slow("authorizations").run(work)

    assert asyncio.run(run()) == ["authorizations", "void"]


def test_a_caller_that_is_cancelled_in_the_middle_voids() -> None:
    async def work(client: AsyncClient) -> None:
        async with client.authorize("completion", workspace="w1"):
            await asyncio.sleep(60)

    async def run() -> list[str]:
        slow = Slow("nothing")
        async with AsyncClient("http://t.test", "tg", transport=httpx.MockTransport(slow)) as client:
            task = asyncio.ensure_future(work(client))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        return slow.script.verbs

    assert asyncio.run(run()) == ["authorizations", "void"]
