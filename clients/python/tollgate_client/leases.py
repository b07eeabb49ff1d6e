"""Spend leases: an allowance is drawn once, calls are decided against it here, and reported in batches."""

from __future__ import annotations

import asyncio
import atexit
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import takewhile
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from tollgate_client import operations
from tollgate_client.allowance import ZERO, Allowance, Spend
from tollgate_client.background import PAUSE_MAX, SLOWER, Background
from tollgate_client.errors import ApiError, TollgateError, Unavailable
from tollgate_client.events import Event, EventFields
from tollgate_client.operations import LeaseTerms
from tollgate_client.results import Authorization, EventError, LeaseReport

if TYPE_CHECKING:
    from tollgate_client.aio import AsyncClient
    from tollgate_client.client import Client

log = logging.getLogger("tollgate_client")
Price = Decimal | Callable[[Event], Decimal]


@dataclass(frozen=True, slots=True)
class Local:
    """How a lease behaves on this side.

    `price`: the most that a call costs, or a function of its event; `spend` may say it call by call. Calls
    are reported every `report_seconds`; no more than `unreported` wait.
    """

    price: Price | None = None
    report_seconds: float = 1.0
    unreported: int = 10_000


class Drawn:
    """What both kinds of leases know and decide."""

    def __init__(
        self,
        client: Client | AsyncClient,
        granted: Authorization,
        terms: LeaseTerms,
        local: Local,
        started: float,
    ) -> None:
        self.granted = granted
        self.allowance = Allowance(granted.id, granted.amount, terms.seconds, started, local.unreported)
        self._clock = client.clock
        self._terms = terms
        self._local = local

    @property
    def id(self) -> str:
        """The lease's."""
        return self.granted.id

    @property
    def left(self) -> Decimal:
        """What may still be spent."""
        return self.allowance.left

    def _take(self, event: str | Event, amount: Decimal | None, fields: EventFields) -> None:
        if isinstance(event, str):
            made = Event(event, **self._named(fields))
        else:
            made = replace(event, **fields)
            if made.occurred_at is None:
                made = replace(made, occurred_at=self._clock())
        price = self._local.price if amount is None else amount
        if price is None:
            raise ValueError("Say what the call costs at most, or give the lease a price.")
        self.allowance.take(made, price(made) if callable(price) else price)

    def _named(self, fields: EventFields) -> EventFields:
        """An event of the lease's caller, now, unless it says otherwise."""
        named: EventFields = {**self._terms.caller, **fields}
        if named.get("occurred_at") is None:
            named["occurred_at"] = self._clock()
        return named

    def _settle(self, batch: Sequence[Spend], report: LeaseReport) -> None:
        _log_refused(batch, report.errors)
        self.allowance.settle(batch, report.held)

    def _hand_over(self, error: TollgateError, report_later: Callable[[Event], bool]) -> None:
        """The lease cannot be closed: what it still has to report is the backlog's, the hold expires."""
        log.warning("%s is left to expire: %s", self.id, error)
        while batch := self.allowance.batch():
            kept = list(takewhile(lambda spend: report_later(spend.event), batch))
            self.allowance.settle(kept, ZERO)
            if len(kept) < len(batch):
                raise error

    def _settle_without(self, batch: Sequence[Spend], errors: Sequence[EventError]) -> None:
        """The lease is over on the other side; its calls were reported as events."""
        _log_refused(batch, errors)
        self.allowance.end()
        self.allowance.settle(batch, ZERO)


class Lease(Drawn):
    """An allowance of money, safe for threads. The end of its `with`, or of the program, reports all and
    returns the rest.

    `spend` decides on this machine, at once. What it lets pass never costs more than the lease by the prices
    given, whatever happens to the network; each call counts once.
    """

    def __init__(
        self, client: Client, granted: Authorization, terms: LeaseTerms, local: Local, started: float
    ) -> None:
        super().__init__(client, granted, terms, local, started)
        self._client = client
        self._flushing = Lock()
        self._background = Background("tollgate-lease", self.flush, local.report_seconds)
        atexit.register(self.close)

    def spend(self, event: str | Event, amount: Decimal | None = None, **fields: Unpack[EventFields]) -> None:
        """Let a call pass that costs at most `amount`; raises LeaseDenied where there is not so much left."""
        self._take(event, amount, fields)
        self._background.wake()

    def flush(self) -> None:
        """Report now what was let pass; raises Unavailable when it cannot, and all of it stays."""
        with self._flushing:
            while batch := self.allowance.batch():
                operation = operations.report_lease(self.id, [spend.content for spend in batch])
                try:
                    self._settle(batch, self._client.send(operation))
                except Unavailable as error:
                    log.warning("%d calls of %s wait: %s", self.allowance.unreported, self.id, error)
                    raise
                except ApiError as error:
                    log.warning("%s takes no more reports: %s", self.id, error)
                    report = self._client.report([spend.event for spend in batch])
                    self._settle_without(batch, report.errors)

    def close(self) -> None:
        """Report all, return what is left. What cannot be reported now goes to the client's backlog.

        Raises TollgateError when not even that has room; it may be called again.
        """
        self.allowance.end()
        self._background.stop()
        try:
            self.flush()
            self._client.send(operations.return_lease(self.id))
        except TollgateError as error:
            self._hand_over(error, self._client.report_later)
        atexit.unregister(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncLease(Drawn):
    """`Lease` for asyncio; `spend` needs no await."""

    def __init__(
        self, client: AsyncClient, granted: Authorization, terms: LeaseTerms, local: Local, started: float
    ) -> None:
        super().__init__(client, granted, terms, local, started)
        self._client = client
        self._flushing = asyncio.Lock()
        self._reporting: asyncio.Task[None] | None = None

    def spend(self, event: str | Event, amount: Decimal | None = None, **fields: Unpack[EventFields]) -> None:
        """As `Lease.spend`."""
        self._take(event, amount, fields)
        if self._reporting is None or self._reporting.done():
            self._reporting = asyncio.get_running_loop().create_task(self._report())

    async def _report(self) -> None:
        pause = self._local.report_seconds
        while self.allowance.unreported:
            await asyncio.sleep(pause)
            try:
                await self.flush()
            except TollgateError:  # which `flush` has logged
                pause = min(PAUSE_MAX, pause * SLOWER)

    async def flush(self) -> None:
        """As `Lease.flush`."""
        async with self._flushing:
            while batch := self.allowance.batch():
                operation = operations.report_lease(self.id, [spend.content for spend in batch])
                try:
                    self._settle(batch, await self._client.send(operation))
                except Unavailable as error:
                    log.warning("%d calls of %s wait: %s", self.allowance.unreported, self.id, error)
                    raise
                except ApiError as error:
                    log.warning("%s takes no more reports: %s", self.id, error)
                    report = await self._client.report([spend.event for spend in batch])
                    self._settle_without(batch, report.errors)

    async def aclose(self) -> None:
        """As `Lease.close`."""
        self.allowance.end()
        if self._reporting is not None:
            self._reporting.cancel()
        await self._client.see_through(self._close())

    async def _close(self) -> None:
        try:
            await self.flush()
            await self._client.send(operations.return_lease(self.id))
        except TollgateError as error:
            self._hand_over(error, self._client.report_later)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _log_refused(batch: Sequence[Spend], errors: Sequence[EventError]) -> None:
    for error in errors:
        log.error("Call %s was refused: %s", batch[error.index].event.idempotency_key, error.message)
