"""The middleware for ASGI: Starlette, FastAPI, Django, and whatever else speaks it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import replace
from typing import Any, Unpack

from tollgate_client.aio import AsyncClient
from tollgate_client.calls import AsyncCall
from tollgate_client.errors import TollgateError
from tollgate_client.events import Event
from tollgate_client.middleware.exchange import Request, Response
from tollgate_client.middleware.options import Options
from tollgate_client.middleware.rules import Refusal, Rules, refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logging.getLogger("tollgate_client")


class TollgateASGI:
    """An ASGI application around yours; `Rules` says what the options mean.

    Only HTTP is metered. When the server shuts down, what waits in the client's backlog is reported.
    """

    def __init__(self, app: Application, client: AsyncClient, **options: Unpack[Options]) -> None:
        self.app = app
        self.client = client
        self.rules = Rules(**options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authorize, run, and settle when the body has ended."""
        request = request_of(scope) if scope["type"] == "http" else None
        event = self.rules.event_of(request) if request else None
        if request is None or event is None:
            await self.app(scope, receive, send)
            if scope["type"] == "lifespan":
                await self._flush()
            return
        began_at = self.client.clock()
        call: AsyncCall | None = None
        try:
            call = await self.client.authorize(event, expires_in=self.rules.expires_in)
        except TollgateError as error:
            if not (self.rules.may_pass(error) and self.client.backlog.reserve()):
                await _tell(refusal(error), send)
                return
        response = Response(request, self.rules.keep)
        try:
            await self.app(scope, receive, recording(response, send))
        except Exception:
            response.fail()
            raise
        finally:
            await self._end(replace(event, occurred_at=began_at), call, response)

    async def _end(self, event: Event, call: AsyncCall | None, response: Response) -> None:
        used = None
        try:
            used = self.rules.used(response)
        finally:
            if call is not None:
                await call.end(used)
            elif used is None:
                self.client.backlog.release()
            else:
                self.client.report_later(replace(event, properties=used), is_reserved=True)

    async def _flush(self) -> None:
        try:
            await self.client.flush()
        except TollgateError:
            log.error("%d events were not reported", self.client.backlog.state.waiting)


def recording(response: Response, send: Send) -> Send:
    """`send`, with `response` taking note."""

    async def noted(message: Message) -> None:
        if message["type"] == "http.response.start":
            response.status = message["status"]
            response.headers = _headers(message.get("headers", ()))
        elif message["type"] == "http.response.body":
            response.add(message.get("body", b""))
        await send(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            response.is_complete = True

    return noted


def request_of(scope: Scope) -> Request:
    """The request in a scope."""
    query = scope.get("query_string", b"").decode("latin-1")
    return Request(scope["method"], scope["path"], query, _headers(scope["headers"]), scope)


def _headers(pairs: Any) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}


async def _tell(told: Refusal, send: Send) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in told.headers]
    await send({"type": "http.response.start", "status": told.status, "headers": headers})
    await send({"type": "http.response.body", "body": told.body})
