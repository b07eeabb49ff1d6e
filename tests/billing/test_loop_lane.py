"""Charges in the event loop: the same answers as in threads, one transaction for those that meet."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection

from accounts.credentials import integration_keys
from accounts.keys import issue_api_key
from accounts.models import IntegrationKey
from accounts.secrets import fingerprint
from billing.api.loop_lane import LoopLane
from billing.charging import Charged, Outcome, UnreadCapture, batching, charge_in_loop, charge_one
from billing.charging.path import charge_batch
from billing.charging.promised import read_captures
from billing.models import Authorization, Charge
from core import clock
from core.ids import hot_id, new_uuid7
from core.sql import driver
from pricing.models import PlanVersion
from tests.api_client import Api
from tests.billing.invariants import broken_invariants
from tests.billing.test_batching import PER_TOKEN, locked_elsewhere
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db(transaction=True)
AUTHORIZE = "/v1/authorizations"
Answer = tuple[int, dict[str, Any], dict[str, str]]


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN])


@pytest.fixture(autouse=True)
def _threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leaders of this test's own, whose connections end with it."""
    pools = [ThreadPoolExecutor(1) for _ in range(2)]
    monkeypatch.setattr(batching._everyone, "_leaders", pools[0])
    monkeypatch.setattr(batching, "_lane_leaders", pools[1])
    yield
    for pool in pools:
        pool.submit(lambda: connection.close()).result()  # of that thread
        pool.shutdown()
    gc.collect()  # the connections of threads that a loop ended with
    assert broken_invariants(driver()) == []
    assert batching._everyone.is_idle
    assert batching._lanes == {}


async def send(secret: str, body: bytes, length: int | None = None, **scope: Any) -> Answer | None:
    """POST a body as a server would; None when nothing was answered."""
    headers = {
        "authorization": f"Bearer {secret}",
        "content-type": "application/json",
        "content-length": str(len(body) if length is None else length),
    }
    wanted = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "POST",
        "path": "/v1/charges",
        "query_string": b"",
        "server": ("127.0.0.1", 8000),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        **scope,
    }
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in (body[:9], body[9:])]
    coming: Iterator[dict[str, Any]] = iter([*parts, {"type": "http.disconnect"}])
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return next(coming)

    async def answer(message: dict[str, Any]) -> None:
        sent.append(message)

    await LoopLane(_nothing_behind)(wanted, receive, answer)  # type: ignore[arg-type]
    if not sent:
        return None
    start, end = sent
    names = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], json.loads(end["body"] or b"{}"), names


async def _nothing_behind(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 299, "headers": []})
    await send({"type": "http.response.body", "body": json.dumps(scope["query_string"].decode()).encode()})


def body_of(tenant: Tenant, key: str, tokens: int = 1) -> bytes:
    event = {"idempotency_key": key, "event": "completion", "workspace": tenant.workspace.external_id}
    return json.dumps({**event, "properties": {"tokens": tokens}}).encode()


def all_at_once(*works: Awaitable[Any]) -> list[Any]:
    async def run() -> list[Any]:
        return await asyncio.gather(*works, return_exceptions=True)

    return asyncio.run(run())


@pytest.fixture
def secret() -> str:
    """A key that this process knows, or not yet: both must do."""
    integration_keys.forget()
    return Api("charges:write").secret


def test_charges_of_one_moment_share_a_transaction_and_each_gets_its_own_answer(
    version: PlanVersion, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = [make_tenant(version, balance="1") for _ in range(4)]
    poor = make_tenant(version, balance="0.01", overdraft=Decimal(0))
    (first,) = all_at_once(send(secret, body_of(tenants[0], "first")))
    assert first[0] == 201
    monkeypatch.setattr(batching._everyone, "_expected", 6)  # who comes at once is waited for
    monkeypatch.setattr(batching._everyone, "gather_seconds", 5.0)
    works = [send(secret, body_of(tenant, f"k{number}", number)) for number, tenant in enumerate(tenants)]
    *charged, denied, replay = all_at_once(
        *works, send(secret, body_of(poor, "much", 2)), send(secret, body_of(tenants[0], "first"))
    )
    assert [(status, body["amount"]) for status, body, _ in charged] == [
        (201, "0"),
        (201, "0.01"),
        (201, "0.02"),
        (201, "0.03"),
    ]
    assert (denied[0], denied[1]["denial"]["reason"]) == (402, "insufficient_funds")
    assert (replay[0], replay[1]) == (200, first[1])
    assert replay[2]["idempotent-replayed"] == "true"
    assert Charge.objects.values("recorded_at").distinct().count() == 2
    assert balance(tenants[3]) == Decimal("0.97")


def test_errors_have_the_shape_of_errors(version: PlanVersion, secret: str) -> None:
    tenant = make_tenant(version, balance="1")
    malformed, stranger, unknown = all_at_once(
        send(secret, b'{"idempotency_key": 7, "event": "completion"}'),
        send("tg_int_nobody", body_of(tenant, "a")),
        send(secret, body_of(tenant, "a").replace(str(tenant.workspace.external_id).encode(), b"nowhere")),
    )
    assert [one[0] for one in (malformed, stranger, unknown)] == [400, 401, 404]
    assert [one[1]["error"]["code"] for one in (stranger, unknown)] == ["invalid_key", "unknown_workspace"]
    assert stranger[2]["www-authenticate"].startswith("Bearer")
    assert malformed[1]["error"]["request_id"] == malformed[2]["x-request-id"]
    assert not Charge.objects.exists()


def test_a_key_is_not_refused_by_what_is_remembered_of_it(version: PlanVersion, secret: str) -> None:
    tenant = make_tenant(version, balance="1")
    key = IntegrationKey.objects.get(fingerprint=fingerprint(secret))
    IntegrationKey.objects.filter(pk=key.pk).update(expires_at=clock.now() - timedelta(hours=1))
    (ended,) = all_at_once(send(secret, body_of(tenant, "a")))
    IntegrationKey.objects.filter(pk=key.pk).update(expires_at=None)
    (extended,) = all_at_once(send(secret, body_of(tenant, "a")))
    assert (ended[0], extended[0]) == (401, 201)


def test_a_caller_who_hangs_up_in_the_middle_is_charged_nothing(version: PlanVersion, secret: str) -> None:
    body = body_of(make_tenant(version, balance="1"), "a")
    assert all_at_once(send(secret, body, length=len(body) + 1)) == [None]
    assert not Charge.objects.exists()


def test_a_caller_who_gives_up_waiting_harms_nobody(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="1")

    async def run() -> Outcome:
        gone = asyncio.create_task(charge_in_loop(request(tenant, "gone", properties={"tokens": 1})))
        await asyncio.sleep(0)
        gone.cancel()
        return await charge_in_loop(request(tenant, "stays", properties={"tokens": 1}))

    assert isinstance(asyncio.run(run()), Charged)
    assert balance(tenant) == Decimal("0.98")  # the charge itself was on its way


def test_an_error_of_the_database_reaches_every_coroutine_of_its_batch(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, error = make_tenant(version, balance="1"), psycopg.OperationalError("the disk is full")

    def broken(requests: Any, *, skip_locked: bool) -> dict[int, Outcome]:
        raise error

    monkeypatch.setattr(batching, "charge_batch", broken)
    wanted = [charge_in_loop(request(tenant, f"k{number}")) for number in range(5)]
    assert all_at_once(*wanted) == [error] * 5
    monkeypatch.setattr(batching, "charge_batch", charge_batch)
    (outcome,) = all_at_once(charge_in_loop(request(tenant, "k0", properties={"tokens": 1})))
    assert isinstance(outcome, Charged)


def test_a_locked_payers_coroutines_wait_in_their_lane_while_others_pass(version: PlanVersion) -> None:
    hot, other = make_tenant(version, balance="1"), make_tenant(version, balance="1")

    async def run(release: Callable[[], object]) -> list[Outcome]:
        stuck = [
            asyncio.create_task(charge_in_loop(request(hot, f"h{n}", properties={"tokens": n})))
            for n in range(4)
        ]
        for number in range(3):
            passing = await charge_in_loop(request(other, f"o{number}", properties={"tokens": 1}))
            assert isinstance(passing, Charged)
        assert not any(one.done() for one in stuck)
        release()
        return list(await asyncio.gather(*stuck))

    lock = locked_elsewhere(hot)
    lock.__enter__()
    outcomes = asyncio.run(run(lambda: lock.__exit__(None, None, None)))
    assert [outcome.amount for outcome in outcomes if isinstance(outcome, Charged)] == [
        Decimal(number) / 100 for number in range(4)
    ]
    assert balance(hot) == Decimal("0.94")


def test_threads_and_coroutines_hand_leadership_to_each_other(version: PlanVersion) -> None:
    tenants = [make_tenant(version, balance="10") for _ in range(5)]

    def in_thread(number: int) -> Outcome:
        try:
            return charge_one(request(tenants[number % 5], f"t{number}", properties={"tokens": 1}))
        finally:
            connection.close()

    async def run() -> list[Outcome]:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(8) as pool:
            threads = [loop.run_in_executor(pool, in_thread, number) for number in range(40)]
            coroutines = [
                charge_in_loop(request(tenants[number % 5], f"c{number}", properties={"tokens": 1}))
                for number in range(40)
            ]
            return list(await asyncio.gather(*threads, *coroutines))

    outcomes = asyncio.run(run())
    assert all(isinstance(outcome, Charged) for outcome in outcomes)
    assert [balance(tenant) for tenant in tenants] == [Decimal("9.84")] * 5


@pytest.mark.parametrize(
    ("scope", "query"),
    [
        ({"method": "GET", "query_string": b"limit=3&q=%C3%A4"}, "limit=3&q=%C3%A4"),
        ({"path": "/v1/events", "query_string": "q=\u00e4".encode()}, "q=%C3%A4"),
        ({"path": "/v1/charges/", "query_string": b""}, ""),
    ],
)
def test_everything_else_goes_to_django_with_a_query_that_wsgi_can_carry(
    scope: dict[str, Any], query: str, secret: str
) -> None:
    (answer,) = all_at_once(send(secret, b"{}", **scope))
    assert answer[:2] == (299, query)


def test_a_hold_and_its_capture_are_answered_in_the_loop_too(version: PlanVersion, secret: str) -> None:
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    (held,) = all_at_once(send(secret, body_of(tenant, "a", 30), path="/v1/authorizations"))
    assert (held[0], held[1]["amount"], held[1]["balance"]["available"]) == (201, "0.3", "0.7")
    capture = f"/v1/authorizations/{held[1]['id']}/capture"
    (captured,) = all_at_once(send(secret, b'{"properties": {"tokens": 7}}', path=capture))
    assert (captured[0], captured[1]["amount"], captured[1]["balance"]["held"]) == (201, "0.07", "0")
    (stranger,) = all_at_once(send(secret, b"{}", path="/v1/authorizations/auth_nobody/capture"))
    assert stranger[0] == 404
    assert balance(tenant) == Decimal("0.93")


def test_captures_of_one_moment_are_read_by_one_statement_and_none_sinks_another(
    version: PlanVersion, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = [make_tenant(version, balance="1", overdraft=Decimal(0)) for _ in range(4)]
    opened = [send(secret, body_of(one, f"hold-{at}", 30), path=AUTHORIZE) for at, one in enumerate(tenants)]
    ids = [answer[1]["id"] for answer in all_at_once(*opened)]
    gone = hot_id("auth", tenants[0].payer.customer_id, new_uuid7(clock.now()))
    reads: list[int] = []

    def counted(captures: Collection[UnreadCapture]) -> list[Any]:
        reads.append(len(captures))
        return read_captures(captures)

    monkeypatch.setattr(batching, "read_captures", counted)
    monkeypatch.setattr(batching._everyone, "_expected", 6)  # so that they are one batch
    monkeypatch.setattr(batching._everyone, "gather_seconds", 5.0)
    usage = b'{"properties": {"tokens": 7}}'
    bodies = [(one, usage) for one in ids[:3]] + [(ids[3], b'{"over": "no"}'), (gone, usage), (ids[0], usage)]
    answers = all_at_once(*[send(secret, body, path=f"{AUTHORIZE}/{one}/capture") for one, body in bodies])
    assert sorted(answer[0] for answer in answers) == [200, 201, 201, 201, 400, 404]
    assert reads == [6]
    assert gone in answers[4][1]["error"]["message"]
    assert [balance(one) for one in tenants] == [Decimal("0.93")] * 3 + [Decimal(1)]


def test_a_capture_waits_in_the_lane_of_its_payer_alone(version: PlanVersion, secret: str) -> None:
    busy, free = (make_tenant(version, balance="1", overdraft=Decimal(0)) for _ in range(2))
    opened = [send(secret, body_of(one, "hold", 30), path=AUTHORIZE) for one in (busy, free)]
    ids = [answer[1]["id"] for answer in all_at_once(*opened)]

    async def run() -> tuple[Any, Any]:
        with locked_elsewhere(busy):
            waiting = asyncio.create_task(send(secret, b"{}", path=f"{AUTHORIZE}/{ids[0]}/capture"))
            passed = await send(secret, b"{}", path=f"{AUTHORIZE}/{ids[1]}/capture")
            assert not waiting.done()
        return passed, await waiting

    passed, waited = asyncio.run(run())
    assert (passed[0], waited[0]) == (201, 201)
    assert [balance(one) for one in (busy, free)] == [Decimal("0.7")] * 2


def check(secret: str, caller: str, key: str, tokens: int, **scope: Any) -> Awaitable[Any]:
    """What a gateway asks about one call."""
    headers = {
        "x-tollgate-key": secret,
        "x-api-key": caller,
        "x-tollgate-event": "completion",
        "x-tollgate-quantity": str(tokens),
        "x-request-id": key,
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    path = "/v1/gateway/authorize/chat"
    return send(secret, b"", **{"method": "GET", "path": path, "headers": pairs, **scope})


def test_a_gateway_is_answered_in_the_loop_with_200_401_and_403_only(
    version: PlanVersion, secret: str
) -> None:
    tenant = make_tenant(version, balance="0.05", overdraft=Decimal(0))
    caller = str(issue_api_key(workspace=tenant.workspace, name="Caller").secret)
    passed, again, poor = (
        all_at_once(check(secret, caller, key, tokens))[0]
        for key, tokens in (("call-00000001", 4), ("call-00000001", 4), ("call-00000002", 2))
    )
    assert (passed[0], passed[2]["x-tollgate-balance"]) == (200, "0.01")
    assert again[2]["x-tollgate-authorization"] == passed[2]["x-tollgate-authorization"]
    assert (poor[0], poor[2]["x-tollgate-status"], poor[2]["x-tollgate-reason"]) == (
        403,
        "402",
        "insufficient_funds",
    )
    odd = {"query_string": "q=\u00e4".encode()}
    unknown, unsigned = all_at_once(
        check(secret, "nobody", "call-00000003", 1, **odd), check("tg_none", caller, "call-00000004", 1)
    )
    assert (unknown[0], unsigned[0]) == (401, 401)
    assert Authorization.objects.count() == 1


def test_the_key_of_a_call_that_is_over_opens_nothing_in_the_loop(version: PlanVersion, secret: str) -> None:
    tenant = make_tenant(version, balance="1")
    caller = str(issue_api_key(workspace=tenant.workspace, name="Caller").secret)
    (passed,) = all_at_once(check(secret, caller, "call-00000001", 4))
    authorization = passed[2]["x-tollgate-authorization"]
    all_at_once(send(secret, b"{}", path=f"/v1/authorizations/{authorization}/capture"))
    (again,) = all_at_once(check(secret, caller, "call-00000001", 4))
    assert (again[0], again[2]["x-tollgate-status"]) == (403, "409")


def test_a_fault_of_ours_obeys_the_fail_mode_in_the_loop(
    version: PlanVersion, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = str(issue_api_key(workspace=make_tenant(version, balance="1").workspace, name="Caller").secret)

    def broken(requests: Any, *, skip_locked: bool) -> dict[int, Outcome]:
        raise psycopg.OperationalError("the server is gone")

    monkeypatch.setattr(batching, "charge_batch", broken)
    (closed,) = all_at_once(check(secret, caller, "call-00000001", 1))
    assert (closed[0], closed[2]["x-tollgate-status"]) == (403, "503")
    monkeypatch.setattr("django.conf.settings.GATEWAY_FAIL_OPEN", True)
    (opened,) = all_at_once(check(secret, caller, "call-00000002", 1))
    assert (opened[0], opened[2]["x-tollgate-reason"]) == (200, "fail_open")
