"""An API of one's own, metered by a middleware: what is held, what is captured, what a caller is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.client.apis import WordsASGI, WordsWSGI
from tests.client.scripted import DENIAL, HOLD, SLEEPLESS, Script, answer, error, lost, script
from tollgate_client import CallerFields
from tollgate_client.middleware import Request, Response, TollgateASGI, TollgateWSGI
from tollgate_client.middleware.rules import Rules

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
KEY = {"X-Api-Key": "sk_1"}
UNKNOWN_KEY = {
    "error": {"type": "not_found", "code": "unknown_key", "message": "No such key.", "param": "api_key"}
}


def payer(request: Request) -> CallerFields | None:
    if request.path == "/health":
        return None
    return {"api_key": request.headers.get("x-api-key", ""), "user": "u1"}


def sizes(response: Response) -> dict[str, Any] | None:
    if response.status == 404:
        return None
    return {"bytes": response.body_bytes, "chunks": response.chunks, "whole": response.is_complete}


OPTIONS: dict[str, Any] = {"event": "api_call", "payer": payer, "quantity": sizes}
Get = Callable[..., httpx.Response]


def client_options(more: dict[str, Any]) -> dict[str, Any]:
    return {
        "clock": lambda: NOON,
        "backlog_seconds": 60,
        "backlog": more.pop("backlog", 10),
        "retries": SLEEPLESS,
    }


def over_wsgi(server: Script, path: str, headers: dict[str, str] = KEY, **more: Any) -> httpx.Response:
    """What a caller of the metered WSGI API gets; the server's side ends before this returns."""
    options = client_options(more)
    app = more.pop("app", None) or WordsWSGI()
    with server.client(**options) as client:
        transport = httpx.WSGITransport(TollgateWSGI(app, client, **{**OPTIONS, **more}))
        with httpx.Client(transport=transport, base_url="http://api.test") as http:
            return http.get(path, headers=headers)


def over_asgi(server: Script, path: str, headers: dict[str, str] = KEY, **more: Any) -> httpx.Response:
    """The same over ASGI."""
    options = client_options(more)
    app = more.pop("app", None) or WordsASGI()

    async def run() -> httpx.Response:
        async with server.async_client(**options) as client:
            transport = httpx.ASGITransport(TollgateASGI(app, client, **{**OPTIONS, **more}))
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
                return await http.get(path, headers=headers)

    return asyncio.run(run())


BOTH = pytest.mark.parametrize("get", [over_wsgi, over_asgi], ids=["wsgi", "asgi"])


@BOTH
def test_a_call_is_held_for_before_and_captured_after(get: Get) -> None:
    server = script()
    response = get(server, "/words?n=3", expected=lambda request: {"bytes": 100, "query": request.query})
    assert (response.status_code, response.text) == (200, "one two three")
    assert response.headers["x-kind"] == "words"
    assert server.verbs == ["authorizations", "capture"]
    held, captured = server.bodies
    key = held.pop("idempotency_key")
    assert key
    assert held == {
        "event": "api_call",
        "api_key": "sk_1",
        "user": "u1",
        "properties": {"bytes": 100, "query": "n=3"},
    }
    assert captured == {"properties": {"bytes": 13, "chunks": 3, "whole": True}, "over": "overdraft"}


@BOTH
@pytest.mark.parametrize(("path", "verb"), [("/words", "capture"), ("/missing", "void")])
def test_by_default_a_success_counts_once_and_an_error_is_free(get: Get, path: str, verb: str) -> None:
    server = script()
    get(server, path, quantity=Rules(event="e", payer=payer).quantity)
    assert server.verbs == ["authorizations", verb]
    assert "properties" not in server.bodies[0]


@BOTH
def test_what_nobody_pays_for_passes_unmetered(get: Get) -> None:
    server = script()
    assert get(server, "/health").status_code == 200
    assert server.requests == []


@BOTH
def test_a_quantity_of_none_is_free(get: Get) -> None:
    server = script()
    assert get(server, "/missing").status_code == 404
    assert server.verbs == ["authorizations", "void"]


@BOTH
def test_a_failure_of_the_api_is_free(get: Get) -> None:
    server = script()
    assert get(server, "/broken").status_code == 500
    assert server.verbs == ["authorizations", "void"]


@BOTH
def test_a_crash_of_the_api_is_free_and_stays_a_crash(get: Get) -> None:
    server = script()
    with pytest.raises(RuntimeError, match="crash"):
        get(server, "/crash")
    assert server.verbs == ["authorizations", "void"]


@BOTH
def test_a_stream_that_breaks_off_is_paid_as_far_as_it_came(get: Get) -> None:
    server = script()
    with pytest.raises(RuntimeError, match="half"):
        get(server, "/half")
    assert server.verbs == ["authorizations", "capture"]
    assert server.bodies[1]["properties"] == {"bytes": 8, "chunks": 2, "whole": False}


@BOTH
def test_a_quantity_may_read_the_body(get: Get) -> None:
    def tokens(response: Response) -> dict[str, Any]:
        assert response.headers["x-kind"] == "words"
        assert response.request.method == "GET"
        assert response.seconds >= 0
        return {"tokens": sum(response.json()["usage"].values())}

    server = script()
    get(server, "/json", quantity=tokens)
    assert server.bodies[1]["properties"] == {"tokens": 9}


@BOTH
def test_of_a_long_body_only_the_beginning_is_kept(get: Get) -> None:
    seen: list[Response] = []

    def look(response: Response) -> dict[str, Any]:
        seen.append(response)
        return {}

    get(script(), "/words", quantity=look, keep=6)
    assert (seen[0].body, seen[0].body_bytes, seen[0].json()) == (b"one tw", 13, None)


@BOTH
def test_a_caller_without_money_is_told_why_before_the_api_runs(get: Get) -> None:
    app = WordsWSGI() if get is over_wsgi else WordsASGI()
    response = get(script(answer(402, DENIAL)), "/words", app=app, fail="open")
    assert response.status_code == 402
    assert response.json() == {
        "error": {
            "type": "payment_required",
            "code": "insufficient_funds",
            "message": "The balance does not cover this charge.",
        },
        "denial": {
            "reason": "insufficient_funds",
            "level": "billing_entity",
            "id": "be_1",
            "limit": "0",
            "used": "1.5",
            "resets_at": "2026-12-01T00:00:00+00:00",
            "retryable": True,
            "top_up_url": None,
        },
        "balance": {"available": "0.01", "settled": "0.01", "held": "0"},
    }
    assert app.calls == 0


@BOTH
@pytest.mark.parametrize("fail", ["open", "closed"])
def test_a_caller_who_is_not_known_is_told_so_whatever_fails_open(get: Get, fail: str) -> None:
    response = get(script(answer(404, UNKNOWN_KEY)), "/words", {}, fail=fail)
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "unknown_caller"


FAILURES = [
    pytest.param(lost(), id="unreachable"),
    pytest.param(error(503), id="503"),
    pytest.param(error(429), id="429"),
    pytest.param(error(401), id="a wrong integration key"),
    pytest.param(error(403), id="a key without the scope"),
]


@BOTH
@pytest.mark.parametrize("failure", FAILURES)
def test_failing_closed_stops_calls_while_tollgate_gives_no_verdict(get: Get, failure: Any) -> None:
    server = script(*[failure] * 4)
    response = get(server, "/words", fail="closed")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"]["code"] == "unavailable"
    assert set(server.verbs) == {"authorizations"}


@BOTH
@pytest.mark.parametrize("failure", FAILURES)
def test_failing_open_passes_and_reports_later_under_the_same_key(get: Get, failure: Any) -> None:
    attempts = 1 if isinstance(failure, httpx.Response) and failure.status_code in (401, 403) else 4
    server = script(*[failure] * attempts)
    response = get(server, "/words", fail="open")
    assert (response.status_code, response.text) == (200, "one two three")
    assert server.verbs == [*["authorizations"] * attempts, "events"]
    (event,) = server.bodies[-1]["events"]
    happened = {"occurred_at": NOON.isoformat(), "properties": {"bytes": 13, "chunks": 3, "whole": True}}
    assert "occurred_at" not in server.bodies[0]
    assert event == server.bodies[0] | happened


@BOTH
def test_failing_open_ends_where_the_backlog_is_full(get: Get) -> None:
    assert get(script(*[error(503)] * 4), "/words", fail="open", backlog=0).status_code == 503


@BOTH
def test_a_free_call_gives_its_place_in_the_backlog_back(get: Get) -> None:
    server = script(*[error(503)] * 4)
    assert get(server, "/broken", fail="open", backlog=1).status_code == 500
    assert set(server.verbs) == {"authorizations"}


@BOTH
def test_a_capture_without_an_answer_is_reported_later_and_the_caller_sees_nothing(get: Get) -> None:
    server = script(answer(201, HOLD), *[lost()] * 4)
    response = get(server, "/words")
    assert response.status_code == 200
    assert server.verbs == ["authorizations", *["capture"] * 4, "events"]
    (event,) = server.bodies[-1]["events"]
    assert event["idempotency_key"] == server.bodies[0]["idempotency_key"]
    assert event["properties"]["bytes"] == 13


@BOTH
def test_a_mistake_in_the_quantity_leaves_no_hold_behind(get: Get) -> None:
    def wrong(response: Response) -> Any:
        raise KeyError("tokens")

    server = script()
    with pytest.raises(KeyError):
        get(server, "/words", quantity=wrong)
    assert server.verbs == ["authorizations", "void"]


def environ(path: str) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": path,
        "HTTP_X_API_KEY": "sk_1",
        "CONTENT_TYPE": "text/plain",
    }


def test_a_wsgi_reader_that_hangs_up_pays_for_what_was_sent() -> None:
    server, app = script(), WordsWSGI()
    body = TollgateWSGI(app, server.client(), **OPTIONS)(environ("/words"), lambda *_: None)
    assert next(iter(body)) == b"one "
    body.close()  # type: ignore[attr-defined]
    body.close()  # type: ignore[attr-defined]
    assert app.is_closed
    assert server.verbs == ["authorizations", "capture"]
    assert server.bodies[1]["properties"] == {"bytes": 4, "chunks": 1, "whole": False}


def test_a_wsgi_application_may_write_in_the_old_way() -> None:
    server = script()
    written: list[bytes] = []
    body = TollgateWSGI(WordsWSGI(), server.client(), **OPTIONS)(environ("/write"), lambda *_: written.append)
    assert b"".join(body) == b"one two three"
    body.close()  # type: ignore[attr-defined]
    assert written == [b"old style "]
    assert server.bodies[1]["properties"]["bytes"] == 23


def test_a_wsgi_request_has_its_headers_and_path() -> None:
    seen: list[Request] = []

    def look(request: Request) -> CallerFields:
        seen.append(request)
        return {"workspace": "w1"}

    metered = TollgateWSGI(WordsWSGI(), script().client(), **{**OPTIONS, "payer": look})
    metered({**environ("/words"), "SCRIPT_NAME": "/v2", "QUERY_STRING": "a=b"}, lambda *_: None)
    (request,) = seen
    assert (request.method, request.path, request.query) == ("GET", "/v2/words", "a=b")
    assert request.headers == {"x-api-key": "sk_1", "content-type": "text/plain"}


def test_an_asgi_reader_that_hangs_up_pays_for_what_was_sent() -> None:
    """As a server does it that cancels the task of a request whose reader has left."""
    server = script()

    async def ignore(message: Any) -> None:
        pass

    async def run() -> None:
        app = WordsASGI()
        async with server.async_client() as client:
            metered = TollgateASGI(app, client, **OPTIONS)
            headers = [(b"X-Api-Key", b"sk_1")]
            scope = {
                "type": "http",
                "method": "GET",
                "path": "/slow",
                "query_string": b"",
                "headers": headers,
            }
            task = asyncio.ensure_future(metered(scope, ignore, ignore))  # type: ignore[arg-type]
            await app.waits.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(run())
    assert server.verbs == ["authorizations", "capture"]
    assert server.bodies[1]["properties"] == {"bytes": 8, "chunks": 2, "whole": False}


def test_an_asgi_server_that_shuts_down_reports_what_waits() -> None:
    server = script(*[error(503)] * 4)

    async def run() -> None:
        app = WordsASGI()
        async with server.async_client(backlog_seconds=60) as client:
            metered = TollgateASGI(app, client, **OPTIONS, fail="open")
            transport = httpx.ASGITransport(metered)
            async with httpx.AsyncClient(transport=transport, base_url="http://api.test") as http:
                await http.get("/words", headers=KEY)
            assert client.backlog.state.waiting == 1

            async def stop() -> Any:
                return {"type": "lifespan.shutdown"}

            await metered({"type": "lifespan"}, stop, stop)  # type: ignore[arg-type]
            assert app.has_stopped
            assert client.backlog.state.reported == 1

    asyncio.run(run())


def test_what_is_not_http_passes() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def run() -> None:
        async with script().async_client() as client:
            await TollgateASGI(app, client, **OPTIONS)({"type": "websocket"}, None, None)  # type: ignore[arg-type]

    asyncio.run(run())
    assert seen == ["websocket"]


def test_a_denial_is_valid_json_for_any_figures() -> None:
    bare = {"error": {"code": "suspended", "message": "No."}, "denial": {"reason": "suspended"}}
    response = over_wsgi(script(answer(402, bare)), "/words")
    assert json.loads(response.content)["denial"]["limit"] is None
