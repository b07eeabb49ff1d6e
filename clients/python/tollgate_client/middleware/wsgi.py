"""The middleware for WSGI: Flask, Django, and whatever else speaks it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any, Unpack

from tollgate_client.calls import Call
from tollgate_client.client import Client
from tollgate_client.errors import TollgateError
from tollgate_client.events import Event
from tollgate_client.middleware.exchange import Request, Response
from tollgate_client.middleware.options import Options
from tollgate_client.middleware.rules import Rules, refusal

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class TollgateWSGI:
    """A WSGI application around yours; `Rules` says what the options mean."""

    def __init__(self, app: Application, client: Client, **options: Unpack[Options]) -> None:
        self.app = app
        self.client = client
        self.rules = Rules(**options)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Authorize, run, and settle when the body has ended."""
        request = request_of(environ)
        event = self.rules.event_of(request)
        if event is None:
            return self.app(environ, start_response)
        began_at = self.client.clock()
        call: Call | None = None
        try:
            call = self.client.authorize(event, expires_in=self.rules.expires_in)
        except TollgateError as error:
            if not (self.rules.may_pass(error) and self.client.backlog.reserve()):
                told = refusal(error)
                start_response(f"{told.status} {told.phrase}", list(told.headers))
                return [told.body]
        dated = replace(event, occurred_at=began_at)
        exchange = Exchange(self.client, self.rules, dated, call, Response(request, self.rules.keep))
        return exchange.run(self.app, environ, start_response)


class Exchange:
    """One metered request. `call` is None where it passes without a hold."""

    def __init__(
        self, client: Client, rules: Rules, event: Event, call: Call | None, response: Response
    ) -> None:
        self.client = client
        self.rules = rules
        self.event = event
        self.call = call
        self.response = response
        self._is_over = False

    def run(self, app: Application, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """The application's body, counted as it goes out."""

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], Any]:
            self.response.status = int(status.split()[0])
            self.response.headers = {name.lower(): value for name, value in headers}
            write: Callable[[bytes], Any] = start_response(status, headers, *rest)

            def counted(chunk: bytes) -> Any:
                self.response.add(chunk)
                return write(chunk)

            return counted

        try:
            return MeteredBody(app(environ, start), self)
        except BaseException:
            self.response.fail()
            self.end()
            raise

    def end(self) -> None:
        """Settle, once."""
        if self._is_over:
            return
        self._is_over = True
        used = None
        try:
            used = self.rules.used(self.response)
        finally:
            if self.call is not None:
                self.call.end(used)
            elif used is None:
                self.client.backlog.release()
            else:
                self.client.report_later(replace(self.event, properties=used), is_reserved=True)


class MeteredBody:
    """A response's body. The server closes it at the end, and when the reader has left."""

    def __init__(self, body: Iterable[bytes], exchange: Exchange) -> None:
        self._body = body
        self._exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        response = self._exchange.response
        try:
            for chunk in self._body:
                response.add(chunk)
                yield chunk
        except Exception:
            response.fail()
            raise
        response.is_complete = True

    def close(self) -> None:
        """The response has ended."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._exchange.end()


def request_of(environ: Environ) -> Request:
    """The request in an environ."""
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return Request(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, environ)
