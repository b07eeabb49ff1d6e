"""The client for asyncio."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from tollgate_client import operations
from tollgate_client.background import PAUSE_MAX, SLOWER
from tollgate_client.backlog import Backlog
from tollgate_client.calls import AsyncCall
from tollgate_client.client import LIMITS, headers_for, utc_now
from tollgate_client.errors import TollgateError
from tollgate_client.events import CallerFields, Event, EventFields, make_event
from tollgate_client.leases import AsyncLease, Local, Price
from tollgate_client.opening import Opening
from tollgate_client.operations import LeaseTerms, Operation, Seconds, UsageQuestion, no_answer
from tollgate_client.results import Authorization, Charge, Entitlement, PayerBalance, Report, Usage
from tollgate_client.retrying import Retries

T = TypeVar("T")
log = logging.getLogger("tollgate_client")


class AsyncClient:
    """`Client` for one event loop: the same arguments, the same methods, awaited."""

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
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.timeout = timeout
        self.retries = Retries(retries) if isinstance(retries, int) else retries
        self.backlog = Backlog(backlog)
        self.clock = clock
        self._http = httpx.AsyncClient(
            base_url=base_url, headers=headers_for(key), limits=LIMITS, transport=transport
        )
        self._flushing = asyncio.Lock()
        self._backlog_seconds = backlog_seconds
        self._reporting: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def charge(self, event: str | Event, **fields: Unpack[EventFields]) -> Charge:
        """Charge one event now. Raises Denied when it may not be, and nothing was charged then."""
        return await self.send(operations.charge(make_event(event, fields)))

    def authorize(
        self,
        event: str | Event,
        *,
        amount: Decimal | None = None,
        expires_in: Seconds | None = None,
        **fields: Unpack[EventFields],
    ) -> Opening[AsyncCall]:
        """As `Client.authorize`: `async with` it, or `await` it."""
        made = make_event(event, fields)
        return Opening(lambda: self._authorize(made, amount, expires_in), AsyncCall.abandon)

    async def _authorize(self, event: Event, amount: Decimal | None, expires_in: Seconds | None) -> AsyncCall:
        started_at = self.clock()
        held = await self._hold(operations.authorize(event, amount, expires_in), operations.void)
        return AsyncCall(self, event, held, started_at)

    def lease(
        self,
        amount: Decimal,
        *,
        expires_in: Seconds = 600,
        price: Price | None = None,
        report_seconds: float = 1.0,
        unreported: int = 10_000,
        **caller: Unpack[CallerFields],
    ) -> Opening[AsyncLease]:
        """As `Client.lease`: `async with` it, or `await` it."""
        terms = operations.lease_terms(amount, expires_in, caller)
        local = Local(price, report_seconds, unreported)
        return Opening(lambda: self._lease(terms, local), AsyncLease.aclose)

    async def _lease(self, terms: LeaseTerms, local: Local) -> AsyncLease:
        started = time.monotonic()
        granted = await self._hold(operations.draw_lease(terms), operations.return_lease)
        return AsyncLease(self, granted, terms, local, started)

    async def _hold(
        self, take: Operation[Authorization], give_back: Callable[[str], Operation[Authorization]]
    ) -> Authorization:
        """Hold money; if the caller is cancelled before the answer, give it back."""
        held = self._start(self.send(take))
        try:
            return await asyncio.shield(held)
        except asyncio.CancelledError:
            self._start(self._give_back(held, give_back))
            raise

    async def _give_back(
        self, held: asyncio.Task[Authorization], give_back: Callable[[str], Operation[Authorization]]
    ) -> None:
        try:
            await self.send(give_back((await held).id))
        except TollgateError as error:
            log.info("A hold whose caller was cancelled is left to expire: %s", error)

    async def report(self, events: Sequence[Event]) -> Report:
        """Report what has happened, in batches of 10,000; it is never denied.

        An error stops at the batch that it concerns; the same call again adds only what is missing.
        """
        report = Report()
        for operation in operations.reports(events):
            report += await self.send(operation)
        return report

    def report_later(self, event: Event, *, is_reserved: bool = False) -> bool:
        """As `Client.report_later`; needs a running loop."""
        is_kept = self.backlog.add(event, is_reserved=is_reserved)
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.get_running_loop().create_task(self._report_backlog())
        return is_kept

    async def flush(self) -> None:
        """Report now what waits in the backlog; raises TollgateError when it cannot, and all of it stays."""
        async with self._flushing:
            while batch := self.backlog.batch():
                try:
                    report = await self.report(batch)
                except TollgateError as error:
                    self.backlog.refuse(batch, error)
                    raise
                self.backlog.settle(batch, report)

    async def _report_backlog(self) -> None:
        pause = self._backlog_seconds
        while self.backlog.batch():
            await asyncio.sleep(pause)
            try:
                await self.flush()
            except TollgateError:  # which `refuse` has logged
                pause = min(PAUSE_MAX, pause * SLOWER)

    async def balance(
        self, workspace: str | None = None, *, billing_entity: str | None = None
    ) -> PayerBalance:
        """What the payer has, and whether it can spend. A customer's own key needs to name nothing."""
        return await self.send(operations.balance(workspace, billing_entity))

    async def entitlements(
        self, workspace: str | None = None, *, billing_entity: str | None = None
    ) -> dict[str, Entitlement]:
        """What the payer's versions grant, by feature, and what is used of it."""
        return await self.send(operations.entitlements(workspace, billing_entity))

    async def usage(self, **question: Unpack[UsageQuestion]) -> Usage:
        """What was used in `[start, end)`, as time series; by default this month, by day."""
        return await self.send(operations.usage(question))

    async def send(self, operation: Operation[T]) -> T:
        """Send until there is a verdict or the retries are used up; raises TollgateError."""
        for attempt in count(1):
            try:
                return operation.verdict(await self._attempt(operation))
            except TollgateError as error:
                pause = self.retries.pause(error, attempt)
                if pause is None:
                    raise
                log.info("%s; again in %.2f s", error, pause)
            await asyncio.sleep(pause)
        raise AssertionError("count() does not end")

    async def _attempt(self, operation: Operation[Any]) -> httpx.Response:
        try:
            return await self._http.send(operation.request(self._http, self.timeout))
        except httpx.RequestError as error:
            raise no_answer(operation, error) from error

    async def see_through(self, work: Coroutine[Any, Any, T]) -> T:
        """Await `work` in a task of its own: a cancelled caller stops waiting, the work goes on."""
        return await asyncio.shield(self._start(work))

    def _start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def aclose(self) -> None:
        """End what is under way, report once what waits, and close the connections."""
        if self._reporting is not None:
            self._reporting.cancel()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self.flush()
        except TollgateError:
            log.error("%d events were not reported", self.backlog.state.waiting)
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
