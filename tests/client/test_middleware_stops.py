"""Callers whom a middleware stops, and programs that break off: who passes, and who pays."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client.apis import WordsASGI, WordsWSGI
from tests.client.scripted import answer, script
from tests.client.test_middleware import BOTH, OPTIONS, Get, environ, over_wsgi, payer
from tollgate_client.middleware import TollgateWSGI
from tollgate_client.middleware.rules import Rules

BARRED = [
    ("key_revoked", "api_key", 401, "authentication"),
    ("closed", "billing_entity", 403, "permission"),
]


@BOTH
@pytest.mark.parametrize("fail", ["open", "closed"])
@pytest.mark.parametrize(("code", "param", "status", "kind"), BARRED)
def test_a_revoked_key_and_a_closed_payer_pass_nothing_whatever_fails_open(
    get: Get, fail: str, code: str, param: str, status: int, kind: str
) -> None:
    app = WordsWSGI() if get is over_wsgi else WordsASGI()
    barred = {"error": {"type": "permission", "code": code, "message": "No.", "param": param}}
    server = script(answer(403, barred))
    response = get(server, "/words", app=app, fail=fail)
    assert (response.status_code, app.calls) == (status, 0)
    error = response.json()["error"]
    assert (error["type"], error["code"]) == (kind, code)
    assert server.verbs == ["authorizations"]


@BOTH
def test_a_crash_before_the_first_byte_is_free_whatever_status_it_began_with(get: Get) -> None:
    server = script()
    with pytest.raises(RuntimeError, match="late crash"):
        get(server, "/late-crash", quantity=Rules(event="e", payer=payer).quantity)
    assert server.verbs == ["authorizations", "void"]


def test_a_wsgi_body_that_breaks_before_its_first_byte_is_free() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [])
        yield from ()
        raise RuntimeError("no byte")

    server = script()
    body = TollgateWSGI(app, server.client(), **OPTIONS)(environ("/words"), lambda *_: None)
    with pytest.raises(RuntimeError):
        list(body)
    body.close()  # type: ignore[attr-defined]
    assert server.verbs == ["authorizations", "void"]
