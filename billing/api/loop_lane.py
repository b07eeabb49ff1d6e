"""The same short way in the event loop of the web server, which is how it is served.

Of a charge, only the transaction needs a thread; a thread per waiting caller, woken by its leader, woken by
the interpreter's lock and waking the server again, cost more than the transaction (docs/performance.md,
ADR 15). Nothing here asks the database. What the lane does not take goes on to Django, in a thread.
"""

from __future__ import annotations

from asyncio import to_thread
from io import BytesIO
from typing import Any, Final
from urllib.parse import quote

from a2wsgi.asgi_typing import ASGIApp, HTTPScope, Receive, Scope, Send
from a2wsgi.wsgi import Body, build_environ
from django.conf import settings

from accounts.credentials import integration_keys
from billing.api.calls import is_call
from billing.api.charges import CHARGE_SCOPE
from billing.api.environ import Environ, Response, begin
from billing.api.fast_lane import (
    asked_charge,
    charged_response,
    failure_response,
    is_plain_json,
    secret_of,
)
from billing.api.gateway import gateway_response_in_loop, is_gateway_path
from billing.charging import Asked, charge_in_loop
from core.sql import drop_broken_connection

ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


class LoopLane:
    """An ASGI application: answers calls in plain JSON and gateways' checks, passes everything else on."""

    def __init__(self, behind: ASGIApp) -> None:
        self.behind = behind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the request."""
        if scope["type"] != "http":
            return await self.behind(scope, receive, send)
        if not scope["query_string"].isascii():  # it may be sent raw; WSGI wants it quoted
            scope["query_string"] = quote(scope["query_string"], safe=ASCII).encode()
        if is_gateway_path(scope["path"]):
            return await _send(await gateway_response_in_loop(environ_of(scope)), send)
        if scope["method"] == "POST" and is_call(scope["path"]):
            environ = environ_of(scope)
            if is_plain_json(environ):
                return await _charge(environ, receive, send)

        async def received() -> Any:  # a coroutine, as the adapter wants; granian's is only awaitable
            return await receive()

        return await self.behind(scope, received, send)


def environ_of(scope: HTTPScope) -> Environ:
    """The request as WSGI has it, without its body."""
    return dict(build_environ(scope, Body(None, None)))  # type: ignore[arg-type]


async def _charge(environ: Environ, receive: Receive, send: Send) -> None:
    body = await _body(receive)
    if len(body) < int(environ["CONTENT_LENGTH"]):
        return  # the caller hung up: there is nobody to answer
    environ["wsgi.input"] = BytesIO(body)
    await _send(await charge_response_in_loop(environ), send)


async def _send(response: Response, send: Send) -> None:
    status, answer, headers = response
    headers["Content-Length"] = str(len(answer))
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": answer, "more_body": False})


async def _body(receive: Receive) -> bytes:
    """The whole body, or what came of it until the caller hung up."""
    chunks = []
    goes_on = True
    while goes_on:
        message: Any = await receive()
        chunks.append(message.get("body", b""))
        goes_on = message.get("more_body", False)
    return b"".join(chunks)


async def charge_response_in_loop(environ: Environ) -> Response:
    """Authenticate, parse, charge."""
    request_id = begin(environ)
    try:
        asked = asked_charge(environ) if _needs_no_database(environ) else await to_thread(_ask, environ)
        return charged_response(await charge_in_loop(asked), environ, request_id)
    except Exception as exception:  # as DRF's handler does: whatever it is, the caller gets an answer
        return failure_response(exception, environ, request_id)


def _needs_no_database(environ: Environ) -> bool:
    """Whether the key is known here; a test clock is a row, too."""
    secret = secret_of(environ)
    if secret is None or settings.TOLLGATE_TEST_CLOCK:
        return False
    return integration_keys.at_hand(secret, CHARGE_SCOPE) is not None


def _ask(environ: Environ) -> Asked:
    drop_broken_connection()
    return asked_charge(environ)
