"""What is sent again, when, and under which key."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import httpx
import pytest

from tests.client.scripted import CHARGE, DENIAL, Script, Step, answer, error, lost, script
from tollgate_client import (
    Charge,
    Conflict,
    Denied,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    Retries,
    ServerError,
    TooLarge,
    Unauthenticated,
    Unreachable,
)
from tollgate_client.retrying import seconds_in

NO_VERDICT = [
    pytest.param(lost(), id="a reset connection"),
    pytest.param(httpx.ConnectError("refused"), id="a refused connection"),
    pytest.param(httpx.ReadTimeout("slow"), id="a timeout"),
    pytest.param(httpx.RemoteProtocolError("closed in the middle"), id="half an answer"),
    pytest.param(error(429), id="429"),
    pytest.param(error(500), id="500"),
    pytest.param(httpx.Response(502, text="<h1>Bad gateway</h1>"), id="502 of a proxy"),
    pytest.param(error(503), id="503"),
    pytest.param(httpx.Response(200, text='{"id": "ch_'), id="a body that was cut off"),
    pytest.param(answer(200, {"id": "ch_1"}), id="a body without what it must have"),
    pytest.param(error(409, "busy"), id="a row that was busy"),
]
VERDICTS = [
    (error(400), InvalidRequest),
    (error(401), Unauthenticated),
    (answer(402, DENIAL), Denied),
    (error(403), PermissionDenied),
    (error(404), NotFound),
    (error(409, "idempotency_key_reused"), Conflict),
    (error(413), TooLarge),
    (error(422), InvalidRequest),
]


def charge(server: Script, **options: object) -> Charge:
    with server.client(**options) as client:
        return client.charge("completion", workspace="w1", properties={"tokens": 3})


def charge_async(server: Script, **options: object) -> Charge:
    async def run() -> Charge:
        async with server.async_client(**options) as client:
            return await client.charge("completion", workspace="w1", properties={"tokens": 3})

    return asyncio.run(run())


Charging = Callable[..., Charge]
BOTH = pytest.mark.parametrize("call", [charge, charge_async], ids=["threads", "asyncio"])


@BOTH
@pytest.mark.parametrize("step", NO_VERDICT)
def test_what_has_no_verdict_is_sent_again_with_the_same_body(call: Charging, step: Step) -> None:
    server = script(step, step)
    assert call(server).amount == Decimal("0.03")
    assert len(server.requests) == 3
    assert len({request.content for request in server.requests}) == 1
    assert server.bodies[0]["idempotency_key"]


@BOTH
@pytest.mark.parametrize(("step", "kind"), VERDICTS)
def test_a_verdict_is_never_asked_for_again(call: Charging, step: Step, kind: type[Exception]) -> None:
    server = script(step)
    with pytest.raises(kind) as raised:
        call(server)
    assert type(raised.value) is kind
    assert len(server.requests) == 1


@BOTH
def test_the_last_error_is_raised_when_the_retries_are_used_up(call: Charging) -> None:
    server = script(error(503), error(503), lost())
    with pytest.raises(Unreachable, match="connection reset"):
        call(server, retries=Retries(2, first=0))
    assert len(server.requests) == 3


@pytest.mark.parametrize(("status", "kind"), [(503, ServerError), (429, RateLimited)])
def test_without_retries_the_first_error_is_the_last(status: int, kind: type[Exception]) -> None:
    server = script(error(status))
    with pytest.raises(kind):
        charge(server, retries=0)
    assert len(server.requests) == 1


def test_every_call_has_a_key_of_its_own() -> None:
    server = script()
    with server.client() as client:
        client.charge("completion", workspace="w1")
        client.charge("completion", workspace="w1")
        client.charge("completion", workspace="w1", idempotency_key="mine")
    first, second, third = (body["idempotency_key"] for body in server.bodies)
    assert first != second
    assert third == "mine"


@BOTH
def test_retry_after_is_waited_for(call: Charging) -> None:
    server = script(error(429, Retry_After="1"))
    before = time.monotonic()
    call(server)
    assert time.monotonic() - before >= 1
    assert len(server.requests) == 2


def test_a_retry_after_beyond_all_patience_is_the_callers() -> None:
    server = script(error(503, Retry_After="31"))
    with pytest.raises(ServerError) as raised:
        charge(server)
    assert raised.value.retry_after == 31
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(None, None), ("7", 7.0), (" 0 ", 0.0), ("soon", None), ("-3", None), ("1.5", None), ("٣", None)],
)
def test_retry_after_may_be_seconds(header: str | None, seconds: float | None) -> None:
    assert seconds_in(header) == seconds


def test_retry_after_may_be_a_date() -> None:
    now = datetime.now(UTC)
    ahead = seconds_in(format_datetime(now + timedelta(seconds=20), usegmt=True))
    assert ahead is not None
    assert 18 <= ahead <= 20
    assert seconds_in(format_datetime(now - timedelta(hours=1), usegmt=True)) == 0


@pytest.mark.parametrize(
    ("attempt", "chance", "pause"),
    [(1, 0.0, 0.05), (1, 1.0, 0.1), (2, 1.0, 0.2), (3, 0.5, 0.3), (9, 1.0, 5.0), (9, 0.0, 2.5)],
)
def test_pauses_double_up_to_a_longest_and_half_of_them_is_chance(
    attempt: int, chance: float, pause: float
) -> None:
    retries = Retries(10, first=0.1, longest=5.0, chance=lambda: chance)
    assert retries.pause(Unreachable("gone"), attempt) == pytest.approx(pause)


def test_a_slow_server_is_given_up_after_the_timeout() -> None:
    server = script()
    charge(server, timeout=0.7)
    assert server.requests[0].extensions["timeout"] == {
        "connect": 0.7,
        "read": 0.7,
        "write": 0.7,
        "pool": 0.7,
    }


def test_the_key_goes_into_the_header_that_the_api_wants() -> None:
    server = script()
    charge(server)
    assert server.requests[0].headers["Authorization"] == "Bearer tg_secret"
    assert server.requests[0].url == "http://tollgate.test/v1/charges"


def test_a_replay_says_so() -> None:
    assert charge(script(answer(200, CHARGE, Idempotent_Replayed="true"))).is_replay
    assert not charge(script(answer(201, CHARGE))).is_replay
