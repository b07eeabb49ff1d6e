"""The client for threads."""

from __future__ import annotations

import atexit
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from threading import Lock
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from tollgate_client import operations
from tollgate_client.background import Background
from tollgate_client.backlog import Backlog
from tollgate_client.calls import Call
from tollgate_client.errors import TollgateError
from tollgate_client.events import CallerFields, Event, EventFields, make_event
from tollgate_client.leases import Lease, Local, Price
from tollgate_client.operations import Operation, Seconds, UsageQuestion, no_answer
from tollgate_client.results import Charge, Entitlement, PayerBalance, Report, Usage
from tollgate_client.retrying import Retries

T = TypeVar("T")
log = logging.getLogger("tollgate_client")

LIMITS = httpx.Limits(max_connections=1_000, max_keepalive_connections=100, keepalive_expiry=30)


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


class Client:
    """Tollgate's HTTP API with one integration key; safe for threads, made once per process.

    `timeout` is seconds for each attempt. `retries`: how many more attempts follow one without a verdict (no
    answer, 429, 5xx), under the same key. `backlog`: how many events `report_later` keeps, sent every
    `backlog_seconds`. `clock` dates what is reported later. A context manager; `close` sends what waits,
    and so does the end of the program.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        timeout: float = 5.0,
        retries: int | Retries = 3,
        *,
        backlog: int = 10_000,
        backlog_seconds: float = 1.0,
        clock: Callable[[], datetime] = utc_now,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.timeout = timeout
        self.retries = Retries(retries) if isinstance(retries, int) else retries
        self.backlog = Backlog(backlog)
        self.clock = clock
        self._http = httpx.Client(
            base_url=base_url, headers=headers_for(key), limits=LIMITS, transport=transport
        )
        self._flushing = Lock()
        self._closes_at_exit = False
        self._background = Background("tollgate-backlog", self.flush, backlog_seconds)

    def charge(self, event: str | Event, **fields: Unpack[EventFields]) -> Charge:
        """Charge one event now. Raises Denied when it may not be, and nothing was charged then."""
        return self.send(operations.charge(make_event(event, fields)))

    def authorize(
        self,
        event: str | Event,
        *,
        amount: Decimal | None = None,
        expires_in: Seconds | None = None,
        **fields: Unpack[EventFields],
    ) -> Call:
        """Hold what the event is expected to cost, or `amount`, for `expires_in` (600 s; 1 s to 24 h).

        `with client.authorize(...) as call: ... call.capture(...)`; leaving without a capture voids it.
        Raises Denied when it may not be.
        """
        made, started_at = make_event(event, fields), self.clock()
        authorization = self.send(operations.authorize(made, amount, expires_in))
        return Call(self, made, authorization, started_at)

    def lease(
        self,
        amount: Decimal,
        *,
        expires_in: Seconds = 600,
        price: Price | None = None,
        report_seconds: float = 1.0,
        unreported: int = 10_000,
        **caller: Unpack[CallerFields],
    ) -> Lease:
        """Draw an allowance that is spent without a network call: `with client.lease(...) as lease`.

        `price` is the most that a call costs (or a function of its event). Calls are reported every
        `report_seconds`, and no more than `unreported` wait. Raises Denied when it may not be drawn.
        """
        terms, started = operations.lease_terms(amount, expires_in, caller), time.monotonic()
        granted = self.send(operations.draw_lease(terms))
        self._close_at_exit()  # after the lease, which is registered later
        return Lease(self, granted, terms, Local(price, report_seconds, unreported), started)

    def report(self, events: Sequence[Event]) -> Report:
        """Report what has happened, in batches of 10,000; it is never denied.

        An error stops at the batch that it concerns; the same call again adds only what is missing.
        """
        return sum(map(self.send, operations.reports(events)), Report())

    def report_later(self, event: Event, *, is_reserved: bool = False) -> bool:
        """Report in the background; False when the backlog has no room (`Backlog.reserve` keeps some)."""
        is_kept = self.backlog.add(event, is_reserved=is_reserved)
        self._close_at_exit()
        self._background.wake()
        return is_kept

    def flush(self) -> None:
        """Report now what waits in the backlog; raises TollgateError when it cannot, and all of it stays."""
        with self._flushing:
            while batch := self.backlog.batch():
                try:
                    report = self.report(batch)
                except TollgateError as error:
                    self.backlog.refuse(batch, error)
                    raise
                self.backlog.settle(batch, report)

    def balance(self, workspace: str | None = None, *, billing_entity: str | None = None) -> PayerBalance:
        """What the payer has, and whether it can spend. A customer's own key needs to name nothing."""
        return self.send(operations.balance(workspace, billing_entity))

    def entitlements(
        self, workspace: str | None = None, *, billing_entity: str | None = None
    ) -> dict[str, Entitlement]:
        """What the payer's versions grant, by feature, and what is used of it."""
        return self.send(operations.entitlements(workspace, billing_entity))

    def usage(self, **question: Unpack[UsageQuestion]) -> Usage:
        """What was used in `[start, end)`, as time series; by default this month, by day."""
        return self.send(operations.usage(question))

    def send(self, operation: Operation[T]) -> T:
        """Send until there is a verdict or the retries are used up; raises TollgateError."""
        for attempt in count(1):
            try:
                return operation.verdict(self._attempt(operation))
            except TollgateError as error:
                pause = self.retries.pause(error, attempt)
                if pause is None:
                    raise
                log.info("%s; again in %.2f s", error, pause)
            time.sleep(pause)
        raise AssertionError("count() does not end")

    def _attempt(self, operation: Operation[Any]) -> httpx.Response:
        try:
            return self._http.send(operation.request(self._http, self.timeout))
        except httpx.RequestError as error:
            raise no_answer(operation, error) from error

    def _close_at_exit(self) -> None:
        if not self._closes_at_exit:
            self._closes_at_exit = True
            atexit.register(self.close)

    def close(self) -> None:
        """Report what waits, once, and close the connections; what stays is logged with its number."""
        atexit.unregister(self.close)
        self._background.stop()
        try:
            self.flush()
        except TollgateError:
            log.error("%d events were not reported", self.backlog.state.waiting)
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def headers_for(key: str) -> dict[str, str]:
    """What every request carries."""
    return {
        "Authorization": f"Bearer {key}",
        "User-Agent": "tollgate-client/0.1",
        "Accept": "application/json",
    }
