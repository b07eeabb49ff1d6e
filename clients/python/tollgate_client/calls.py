"""A call whose cost is held before it is made and captured when its size is known."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import Enum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, Unpack

from tollgate_client import operations
from tollgate_client.errors import ApiError, Conflict, Denied, InvalidRequest, TollgateError, Unavailable
from tollgate_client.events import Event
from tollgate_client.operations import CaptureFields, Operation, Seconds
from tollgate_client.results import Authorization, Balance, Charge, EventError

if TYPE_CHECKING:
    from tollgate_client.aio import AsyncClient
    from tollgate_client.client import Client

log = logging.getLogger("tollgate_client")


class State(Enum):
    """What has become of a hold, as far as this side knows."""

    OPEN = "open"
    CAPTURED = "captured"
    VOIDED = "voided"
    UNKNOWN = "unknown"  # a capture was sent, and no answer came
    HANDED_OVER = "handed over"  # a stream settles it


class Hold:
    """What both kinds of calls know; `event` is what was expected, under its key."""

    def __init__(self, event: Event, authorization: Authorization, started_at: datetime) -> None:
        self.event = event
        self.authorization = authorization
        self.started_at = started_at
        self.state = State.OPEN

    @property
    def id(self) -> str:
        """`auth_...`."""
        return self.authorization.id

    @property
    def amount(self) -> Decimal:
        """What is held."""
        return self.authorization.amount

    @property
    def expires_at(self) -> datetime:
        """Until when."""
        return self.authorization.expires_at

    @property
    def balance(self) -> Balance | None:
        """The payer's, at the last answer."""
        return self.authorization.balance

    def late_event(self, properties: Mapping[str, Any], fields: CaptureFields) -> Event:
        """The real usage as an event to report, under the key of the capture that it stands for.

        That is the hold's key, unless the capture had its own: it captures the hold, or stands alone. What an
        unanswered capture did already, it does not do again.
        """
        said = ("costs", "occurred_at", "user", "trace", "idempotency_key")
        given = {name: fields[name] for name in said if fields.get(name) is not None}  # type: ignore[literal-required]
        occurred_at = self.event.occurred_at or self.started_at
        return replace(self.event, **{"properties": properties, "occurred_at": occurred_at, **given})

    def _capture(self, properties: Mapping[str, Any] | None, fields: CaptureFields) -> Operation[Charge]:
        operation = operations.capture(self.id, properties, fields)  # may raise, and then nothing is sent
        self.state = State.UNKNOWN
        return operation

    def _refused(self, error: TollgateError) -> None:
        """A verdict leaves the hold as it was; without one, nobody knows."""
        if not isinstance(error, Unavailable):
            self.state = State.OPEN


class Call(Hold):
    """An authorized call. A context manager: leaving it without a capture voids the hold."""

    def __init__(
        self, client: Client, event: Event, authorization: Authorization, started_at: datetime
    ) -> None:
        super().__init__(event, authorization, started_at)
        self._client = client

    def capture(self, properties: Mapping[str, Any] | None = None, **fields: Unpack[CaptureFields]) -> Charge:
        """Charge the real usage (without properties: what was expected) and free the rest of the hold.

        Raises Denied when it costs more than is held and `over` does not let it, AuthorizationExpired when
        the hold is over and the funds do not cover it now; `settle` takes care of both.
        """
        operation = self._capture(properties, fields)
        try:
            charge = self._client.send(operation)
        except TollgateError as error:
            self._refused(error)
            raise
        self.state = State.CAPTURED
        return charge

    def settle(self, properties: Mapping[str, Any], **fields: Unpack[CaptureFields]) -> Charge | None:
        """Capture what has been used, come what may: a refused capture is reported, an unanswered one later.

        None when it was reported instead. Raises what else a capture does, such as InvalidRequest.
        """
        fields.setdefault("over", "overdraft")
        try:
            return self.capture(properties, **fields)
        except (Conflict, Denied, Unavailable) as error:
            self._report(self.late_event(properties, fields), error)
            return None

    def _report(self, event: Event, error: TollgateError) -> None:
        log.info("The usage of %s is reported: %s", self.id, error)
        is_reported = not isinstance(error, Unavailable) and self._reported(event)
        if not is_reported and not self._client.report_later(event):
            raise error
        self.state = State.CAPTURED

    def _reported(self, event: Event) -> bool:
        """Whether there was an answer; raises the error when it refused the event."""
        try:
            report = self._client.report([event])
        except Unavailable:
            return False
        if report.errors:
            raise refused_event(report.errors[0])
        return True

    def void(self) -> Authorization:
        """Free the hold: the call did not happen."""
        self.authorization = self._client.send(operations.void(self.id))
        self.state = State.VOIDED
        return self.authorization

    def extend(self, expires_in: Seconds) -> Authorization:
        """Let the hold last until so many seconds from now; never shorter than it would."""
        self.authorization = self._client.send(operations.extend(self.id, expires_in))
        return self.authorization

    def abandon(self) -> None:
        """Void it if nothing has settled it; a hold that cannot be voided expires by itself."""
        if self.state is State.OPEN:
            try:
                self.void()
            except TollgateError as error:
                log_abandoned(self, error)

    def end(self, properties: Mapping[str, Any] | None) -> None:
        """Settle with what was used; None = nothing was, and the hold is abandoned."""
        if properties is None:
            self.abandon()
        else:
            self.settle(properties)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abandon()


class AsyncCall(Hold):
    """`Call` for asyncio. A cancelled caller leaves no hold behind: what settles it is seen through."""

    def __init__(
        self, client: AsyncClient, event: Event, authorization: Authorization, started_at: datetime
    ) -> None:
        super().__init__(event, authorization, started_at)
        self._client = client

    async def capture(
        self, properties: Mapping[str, Any] | None = None, **fields: Unpack[CaptureFields]
    ) -> Charge:
        """As `Call.capture`."""
        return await self._client.see_through(self._send_capture(self._capture(properties, fields)))

    async def _send_capture(self, operation: Operation[Charge]) -> Charge:
        try:
            charge = await self._client.send(operation)
        except TollgateError as error:
            self._refused(error)
            raise
        self.state = State.CAPTURED
        return charge

    async def settle(self, properties: Mapping[str, Any], **fields: Unpack[CaptureFields]) -> Charge | None:
        """As `Call.settle`."""
        fields.setdefault("over", "overdraft")
        return await self._client.see_through(self._settle(properties, fields))

    async def _settle(self, properties: Mapping[str, Any], fields: CaptureFields) -> Charge | None:
        try:
            return await self._send_capture(self._capture(properties, fields))
        except (Conflict, Denied, Unavailable) as error:
            await self._report(self.late_event(properties, fields), error)
            return None

    async def _report(self, event: Event, error: TollgateError) -> None:
        log.info("The usage of %s is reported: %s", self.id, error)
        is_reported = not isinstance(error, Unavailable) and await self._reported(event)
        if not is_reported and not self._client.report_later(event):
            raise error
        self.state = State.CAPTURED

    async def _reported(self, event: Event) -> bool:
        """Whether there was an answer; raises the error when it refused the event."""
        try:
            report = await self._client.report([event])
        except Unavailable:
            return False
        if report.errors:
            raise refused_event(report.errors[0])
        return True

    async def void(self) -> Authorization:
        """As `Call.void`."""
        return await self._client.see_through(self._void())

    async def _void(self) -> Authorization:
        self.authorization = await self._client.send(operations.void(self.id))
        self.state = State.VOIDED
        return self.authorization

    async def extend(self, expires_in: Seconds) -> Authorization:
        """As `Call.extend`."""
        self.authorization = await self._client.send(operations.extend(self.id, expires_in))
        return self.authorization

    async def abandon(self) -> None:
        """As `Call.abandon`."""
        if self.state is State.OPEN:
            try:
                await self.void()
            except TollgateError as error:
                log_abandoned(self, error)

    async def end(self, properties: Mapping[str, Any] | None) -> None:
        """As `Call.end`."""
        if properties is None:
            await self.abandon()
        else:
            await self.settle(properties)


def refused_event(error: EventError) -> InvalidRequest:
    """A reported event that was refused, as the exception that a request of its own would be."""
    return InvalidRequest(422, {"code": error.code, "message": error.message, "param": error.param})


def log_abandoned(hold: Hold, error: TollgateError) -> None:
    """Why a hold is left to its expiry."""
    level = logging.INFO if isinstance(error, ApiError) else logging.WARNING
    log.log(level, "%s is left to expire: %s", hold.id, error)
