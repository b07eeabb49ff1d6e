"""Calls against Tollgate itself: held, captured, voided, lost and found again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.keys import issue_api_key
from billing.models import Authorization, Charge
from core import clock
from tests.api_client import Api
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version
from tests.client.apis import WordsASGI, WordsWSGI
from tests.client.chunks import Stream, chat, last
from tests.client.conftest import QUICK
from tests.client.test_charging import name, tenant
from tollgate_client import (
    AsyncClient,
    AuthorizationExpired,
    Call,
    Client,
    Denied,
    Event,
    Unreachable,
    meter_stream,
)
from tollgate_client.middleware import TollgateASGI, TollgateWSGI

ZERO = Decimal(0)


def held(of: Tenant) -> Decimal:
    """What open holds reserve."""
    rows = Authorization.objects.filter(billing_entity_id=of.payer.pk, status="authorized")
    return sum((row.held for row in rows), ZERO)


def status(call: Call) -> str:
    (found,) = [row.status for row in Authorization.objects.all() if row.public_id == call.id]
    return found


def authorize(client: Client, of: Tenant, tokens: int, **more: Any) -> Call:
    return client.authorize("completion", workspace=name(of), properties={"tokens": tokens}, **more)


def test_the_real_usage_is_charged_and_the_rest_of_the_hold_is_free(in_process: Client) -> None:
    one = tenant("10", overdraft=ZERO)
    with authorize(in_process, one, 400, expires_in=60) as call:
        assert (call.amount, held(one)) == (Decimal(4), Decimal(4))
        assert call.balance is not None
        assert (call.balance.available, call.balance.held) == (Decimal(6), Decimal(4))
        charge = call.capture({"tokens": 150})
    assert (charge.amount, charge.authorization, charge.absorbed) == (Decimal("1.5"), call.id, ZERO)
    assert status(call) == "captured"
    assert (held(one), balance(one)) == (ZERO, Decimal("8.5"))


def test_leaving_without_a_capture_frees_all(in_process: Client) -> None:
    one = tenant("10")
    with pytest.raises(RuntimeError), authorize(in_process, one, 400) as call:
        raise RuntimeError
    assert status(call) == "voided"
    assert (held(one), balance(one)) == (ZERO, Decimal(10))


def test_what_is_held_is_promised_to_nobody_else(in_process: Client) -> None:
    one = tenant("10", overdraft=ZERO)
    with authorize(in_process, one, 700):
        with pytest.raises(Denied) as raised:
            authorize(in_process, one, 400)
        assert raised.value.balance is not None
        assert raised.value.balance.available == Decimal(3)
    authorize(in_process, one, 1000).void()


def test_an_amount_may_be_held_instead(in_process: Client) -> None:
    one = tenant("10")
    call = in_process.authorize("completion", workspace=name(one), amount=Decimal("2.25"))
    assert call.amount == held(one) == Decimal("2.25")


@pytest.mark.parametrize(
    ("over", "charged", "absorbed"), [("cap", Decimal(1), Decimal(2)), ("overdraft", Decimal(3), ZERO)]
)
def test_more_than_was_held_goes_as_over_says(
    in_process: Client, over: Any, charged: Decimal, absorbed: Decimal
) -> None:
    one = tenant("10", overdraft=ZERO)
    with authorize(in_process, one, 100) as call:
        with pytest.raises(Denied) as raised:
            call.capture({"tokens": 300})
        assert (raised.value.level, raised.value.limit) == ("authorization", Decimal(1))
        charge = call.capture({"tokens": 300}, over=over)
    assert (charge.amount, charge.absorbed) == (charged, absorbed)
    assert balance(one) == 10 - charged


def test_an_extended_hold_lasts_longer(in_process: Client) -> None:
    one = tenant("10")
    call = authorize(in_process, one, 100, expires_in=5)
    first = call.expires_at
    call.extend(3600)
    assert (call.expires_at - first).total_seconds() > 3500


@pytest.fixture
def an_hour_later() -> Iterator[Callable[[], None]]:
    """Call it, and on the server's clock an hour has gone by."""
    yield lambda: clock.use(lambda: clock.system_now() + timedelta(hours=1))
    clock.use(None)


def test_a_late_capture_is_a_charge_like_any_other(
    in_process: Client, an_hour_later: Callable[[], None]
) -> None:
    one = tenant("10", overdraft=ZERO)
    with authorize(in_process, one, 400) as call:
        an_hour_later()
        assert call.capture({"tokens": 300}).amount == Decimal(3)
    assert balance(one) == Decimal(7)


def test_late_usage_that_the_funds_do_not_cover_is_settled_as_overspend(
    in_process: Client, an_hour_later: Callable[[], None]
) -> None:
    one = tenant("4", overdraft=ZERO)
    with authorize(in_process, one, 400) as call:
        an_hour_later()
        charge(in_process, one, 300)
        with pytest.raises(AuthorizationExpired):
            call.capture({"tokens": 300})
        assert call.settle({"tokens": 300}) is None
    assert balance(one) == Decimal(-2)
    assert status(call) == "captured"


def charge(client: Client, of: Tenant, tokens: int) -> None:
    client.charge("completion", workspace=name(of), properties={"tokens": tokens})


def test_usage_beyond_all_funds_is_settled_by_a_report(in_process: Client) -> None:
    one = tenant("4", overdraft=ZERO)
    with authorize(in_process, one, 400) as call:
        assert call.settle({"tokens": 500}) is None
    assert balance(one) == Decimal(-1)
    assert (status(call), held(one)) == ("captured", ZERO)


class Losing:
    """A way to Tollgate on which answers to some verbs are lost, once the server has acted."""

    def __init__(self, way: httpx.MockTransport) -> None:
        self.way = way
        self.loses: dict[str, int] = {}
        self.lost = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        response = self.way.handler(request)
        assert isinstance(response, httpx.Response)
        verb = request.url.path.rsplit("/", 1)[-1]
        if self.loses.get(verb, 0) > 0:
            self.loses[verb] -= 1
            self.lost += 1
            raise httpx.ReadError("the answer is lost", request=request)
        return response


@pytest.fixture
def losing(way: httpx.MockTransport) -> Losing:
    return Losing(way)


@pytest.fixture
def forgetful(losing: Losing) -> Iterator[Client]:
    """A client on a way that may lose answers; `losing.loses` says which."""
    transport = httpx.MockTransport(losing)
    with Client(
        "http://testserver", Api("admin").secret, retries=QUICK, transport=transport, backlog_seconds=3600
    ) as client:
        yield client


def test_lost_answers_cost_nobody_anything_twice(forgetful: Client, losing: Losing) -> None:
    one = tenant("10", overdraft=ZERO)
    losing.loses = {"authorizations": 2, "capture": 3, "charges": 1, "events": 1}
    with authorize(forgetful, one, 400) as call:
        assert held(one) == Decimal(4)
        charged = call.capture({"tokens": 250})
    charge(forgetful, one, 100)
    report = forgetful.report([Event("completion", workspace=name(one), properties={"tokens": 50})])
    assert losing.lost == 7
    assert charged.is_replay
    assert report.duplicates == 1
    assert balance(one) == Decimal(10) - Decimal("2.5") - 1 - Decimal("0.5")
    assert Charge.objects.filter(billing_entity_id=one.payer.pk).count() == 3


def test_a_lost_void_is_asked_for_again(forgetful: Client, losing: Losing) -> None:
    one = tenant("10")
    losing.loses = {"void": 2}
    with authorize(forgetful, one, 400) as call:
        pass
    assert (losing.lost, status(call), held(one)) == (2, "voided", ZERO)


def test_a_capture_that_acted_but_was_never_answered_counts_once(forgetful: Client, losing: Losing) -> None:
    """All attempts' answers are lost; the report that follows under the hold's key adds nothing."""
    one = tenant("10", overdraft=ZERO)
    losing.loses = {"capture": 4}
    with authorize(forgetful, one, 400) as call:
        assert call.settle({"tokens": 250}) is None
    assert balance(one) == Decimal("7.5")
    forgetful.flush()
    assert forgetful.backlog.state.reported == 1
    assert balance(one) == Decimal("7.5")
    assert status(call) == "captured"


def test_a_hold_whose_answer_never_came_is_captured_by_the_report_of_its_usage(
    forgetful: Client, losing: Losing
) -> None:
    """As a middleware that fails open meets it: Tollgate did hold, but nobody heard."""
    one = tenant("10", overdraft=ZERO)
    losing.loses = {"authorizations": 4}
    event = Event("completion", workspace=name(one), properties={"tokens": 400})
    with pytest.raises(Unreachable):
        forgetful.authorize(event)
    assert held(one) == Decimal(4)
    forgetful.report_later(replace(event, properties={"tokens": 250}))
    forgetful.flush()
    assert (held(one), balance(one)) == (ZERO, Decimal("7.5"))
    assert Authorization.objects.get(billing_entity_id=one.payer.pk).status == "captured"


def test_a_stream_is_charged_for_what_it_brought(in_process: Client) -> None:
    make_meter("output_tokens")
    price = {"key": "out", "meter": "output_tokens", "model": "per_unit", "unit_price": "0.01"}
    one = make_tenant(make_version([price]), balance="10", overdraft=ZERO)
    expected = {"output_tokens": 500, "model": "large"}
    with in_process.authorize("completion", workspace=name(one), properties=expected) as call:
        list(meter_stream(call, Stream([chat("a"), chat("b"), last()])))
    assert balance(one) == Decimal("9.93")
    with in_process.authorize("completion", workspace=name(one), properties=expected) as call:
        next(meter_stream(call, Stream([chat("a"), chat("b"), last()])))
    assert balance(one) == Decimal("9.92")
    assert held(one) == ZERO


BYTES = {"key": "bytes", "meter": "bytes", "model": "per_unit", "unit_price": "0.01"}


def api_tenant(money: str) -> tuple[Tenant, dict[str, str]]:
    """A tenant that pays for bytes, and the headers its callers send."""
    make_meter("bytes", event="api_call")
    one = make_tenant(make_version([BYTES]), balance=money, overdraft=ZERO)
    issued = issue_api_key(workspace=one.workspace, name="main")
    return one, {"X-Api-Key": str(issued.secret)}


OPTIONS: dict[str, Any] = {
    "event": "api_call",
    "payer": lambda request: {"api_key": request.headers.get("x-api-key", "")},
    "expected": lambda request: {"bytes": 20},
    "quantity": lambda response: {"bytes": response.body_bytes},
}


def test_an_api_is_metered_until_the_money_is_gone(in_process: Client) -> None:
    one, key = api_tenant("0.40")
    transport = httpx.WSGITransport(TollgateWSGI(WordsWSGI(), in_process, **OPTIONS))
    with httpx.Client(transport=transport, base_url="http://api.test") as http:
        statuses = [http.get("/words", headers=key).status_code for _ in range(4)]
        assert statuses == [200, 200, 402, 402]
        assert http.get("/words", headers={"X-Api-Key": "sk_wrong"}).status_code == 401
        assert http.get("/words").status_code == 401
    assert (balance(one), held(one)) == (Decimal("0.14"), ZERO)


def test_calls_that_passed_while_tollgate_was_away_are_settled_once_afterwards(
    forgetful: Client, losing: Losing
) -> None:
    one, key = api_tenant("1")
    transport = httpx.WSGITransport(TollgateWSGI(WordsWSGI(), forgetful, **OPTIONS, fail="open"))
    losing.loses = {"authorizations": 4 * 5, "events": 5}
    with httpx.Client(transport=transport, base_url="http://api.test") as http:
        assert [http.get("/words", headers=key).status_code for _ in range(5)] == [200] * 5
    assert forgetful.backlog.state.waiting == 5
    with pytest.raises(Unreachable):
        forgetful.flush()
    forgetful.flush()
    assert (balance(one), held(one)) == (Decimal("0.35"), ZERO)
    assert forgetful.backlog.state.waiting == 0
    assert Charge.objects.filter(billing_entity_id=one.payer.pk).count() == 5


@pytest.mark.django_db(transaction=True)
def test_an_asgi_api_is_metered_over_the_network(live_server: Any) -> None:
    one, key = api_tenant("0.60")
    secret = Api("admin").secret

    async def run() -> list[int]:
        async with AsyncClient(str(live_server), secret, retries=QUICK) as client:
            transport = httpx.ASGITransport(TollgateASGI(WordsASGI(), client, **OPTIONS))
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
                answers = await asyncio.gather(*(http.get("/words", headers=key) for _ in range(3)))
                answers += [await http.get("/words", headers=key) for _ in range(3)]
                return [answer.status_code for answer in answers]

    assert asyncio.run(run()) == [200, 200, 200, 200, 402, 402]
    assert (balance(one), held(one)) == (Decimal("0.08"), ZERO)


@pytest.mark.django_db(transaction=True)
def test_async_calls_are_held_captured_and_voided(live_server: Any) -> None:
    one = tenant("10", overdraft=ZERO)
    secret = Api("admin").secret

    async def call(client: AsyncClient, tokens: int) -> None:
        expected = {"tokens": 100}
        async with client.authorize("completion", workspace=name(one), properties=expected) as call:
            if tokens:
                await call.capture({"tokens": tokens})

    async def run() -> None:
        async with AsyncClient(str(live_server), secret, retries=QUICK) as client:
            await asyncio.gather(*(call(client, tokens) for tokens in (0, 10, 20, 30, 0, 100)))

    asyncio.run(run())
    assert (balance(one), held(one)) == (Decimal("8.4"), ZERO)
