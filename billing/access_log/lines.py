"""One line of a gateway's access log: which call it was, and what is to become of it.

A line is a JSON object; docs/operations/nginx.md lists its fields. Values may be texts, as nginx writes them,
and an empty one is one that is not there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from accounts.secrets import fingerprint
from billing.gateway.quantities import QUANTITY, with_measured
from billing.gateway.reading import FAIL_OPEN, mark_of
from core.errors import InvalidRequest, TollgateError
from core.ids import hot_row
from core.instants import instant_text, parse_instant
from core.jsonio import parse_json
from core.numbers import parse_quantity
from metering.catalogue import MeterCatalogue
from metering.events import KEY_LENGTH_MAX, TAG_LENGTH_MAX, EventInput, parse_event

FREE_FROM: Final = 500
"""Statuses from which on a call was not served and costs nothing, unless the upstream says what it used."""
HUNG_UP: Final = (499, 0)
"""Statuses of a caller that left before there was an answer: nginx's, Envoy's."""
BLANK: Final = (None, "", "-")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}").fullmatch
_EPOCH: Final = re.compile(r"[0-9]{10}(\.[0-9]{1,6})?").fullmatch
_EVENT_FIELDS: Final = ("event", "workspace", "api_key", "billing_entity")
_TAGS: Final = ("user", "trace")
"""What a caller may have said itself: a tag that cannot be kept is no reason to let the call go unpaid."""


class Fate(Enum):
    """What a line asks for. PASSED: the call went through while nobody decided. STOPPED: never served."""

    HELD = "held"
    PASSED = "passed"
    EVENT = "event"
    STOPPED = "stopped"


@dataclass(slots=True)
class Line:
    """A call as the gateway saw it end. `used` are the real properties; `is_free`: it failed, and costs
    nothing. `authorization` names the hold that the gateway was told."""

    request_id: str
    occurred_at: datetime
    fate: Fate
    is_free: bool
    used: dict[str, Any] = field(default_factory=dict)
    authorization: tuple[int, UUID] | None = None
    raw: dict[str, Any] = field(default_factory=dict)
    caller: str = ""

    def event(self, received_at: datetime, meters: MeterCatalogue) -> EventInput:
        """The event of a line that has no hold; raises TollgateError when it does not say enough."""
        named: dict[str, Any] = {name: self.raw[name] for name in _EVENT_FIELDS if name in self.raw}
        named |= {name: self.raw[name] for name in _TAGS if _is_tag(self.raw.get(name))}
        if self.caller:
            named["api_key"] = self.caller
        elif "caller" in self.raw:
            named["api_key"] = mark_of(str(self.raw["caller"]).encode().decode("latin-1"))
        expected = _properties(self.raw.get("properties"), "properties")
        if "quantity" in self.raw:
            expected["quantity"] = _number(self.raw["quantity"], "quantity")
        properties = self.properties(str(named.get("event", "")), expected, meters)
        instant = instant_text(self.occurred_at)
        raw = {"idempotency_key": self.request_id, "occurred_at": instant, "properties": properties}
        return parse_event(raw | named, received_at)

    def properties(self, event: str, expected: dict[str, Any], meters: MeterCatalogue) -> dict[str, Any]:
        """What the call took; what was expected where the line does not say more."""
        said = self.used if QUANTITY in self.used else {**expected, **self.used}
        return with_measured(event, expected | self.used, said, meters)


def read_line(text: bytes, free_from: int = FREE_FROM, caller: str = "") -> Line:
    """The call that a line tells of; raises TollgateError for one that cannot be read.

    `caller`: the fingerprint of its caller's key, where the line was kept without that.
    """
    value = parse_json(text.decode("utf-8", "replace").encode())  # a caller may send any bytes as its name
    if not isinstance(value, dict):
        raise InvalidRequest("invalid_line", "The line is not a JSON object.")
    raw = {name: item for name, item in value.items() if item not in BLANK}
    request_id = raw.get("request_id")
    if not isinstance(request_id, str) or len(request_id) > KEY_LENGTH_MAX:
        raise InvalidRequest("no_request_id", "The line has no request_id, so it could count twice.")
    status = _status(raw.get("status"))
    authorization = _authorization(raw)
    return Line(
        request_id,
        _instant(raw.get("time")),
        _fate(value, raw, has_hold=authorization is not None),
        is_free="usage" not in raw and (_has_failed(status, free_from) or _was_never_served(status, value)),
        used=_used(raw),
        authorization=authorization,
        raw=raw,
        caller=caller,
    )


def caller_mark(text: bytes) -> str:
    """The fingerprint of the key that a line names, by which it can be settled when the key is taken out; ""
    where there is none, or an id of ours stands in its place."""
    try:
        value = parse_json(text.decode("utf-8", "replace").encode())
        if not isinstance(value, dict):
            return ""
        if value.get("caller") not in BLANK:
            return mark_of(str(value["caller"]).encode().decode("latin-1"))
    except TollgateError:
        return ""
    named = value.get("api_key")
    if not isinstance(named, str) or named in BLANK:
        return ""
    is_known = named.startswith("key_") or _FINGERPRINT(named)
    return named[:64] if is_known else fingerprint(named)


def _is_tag(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TAG_LENGTH_MAX and value.isprintable()


def _fate(value: dict[str, Any], raw: dict[str, Any], *, has_hold: bool) -> Fate:
    """`tollgate` is what Tollgate said, and stands in every line of a gateway that asks."""
    if has_hold:
        return Fate.HELD
    if "tollgate" not in value:
        return Fate.EVENT
    if "tollgate" not in raw or raw.get("reason") == FAIL_OPEN:
        return Fate.PASSED
    return Fate.STOPPED


def _used(raw: dict[str, Any]) -> dict[str, Any]:
    """What the call really took: the bytes that were sent, and the upstream's own word."""
    used: dict[str, Any] = {}
    if "bytes" in raw:
        used["bytes"] = _number(raw["bytes"], "bytes")
    usage = raw.get("usage")
    if isinstance(usage, int | Decimal) or (isinstance(usage, str) and not usage.lstrip().startswith("{")):
        return used | {"quantity": _number(usage, "usage")}
    return used | _properties(usage, "usage")


def _properties(value: Any, param: str) -> dict[str, Any]:
    """An object, or the JSON text of one, as a header has it."""
    if isinstance(value, str):
        try:
            value = parse_json(value.encode())
        except InvalidRequest as error:
            raise error.within(param) from error
    if value is None or isinstance(value, dict):
        return dict(value or {})
    raise InvalidRequest("invalid_type", f"{param} must be a JSON object.", param)


def _number(value: Any, param: str) -> int | Decimal:
    number = parse_quantity(str(value) if isinstance(value, int | Decimal) else value, param)
    return int(number) if number == number.to_integral_value() else number


def _status(value: Any) -> int | None:
    return int(value) if re.fullmatch("0|000|[1-9][0-9]{2}", str(value)) else None


def _has_failed(status: int | None, free_from: int) -> bool:
    return status is not None and status >= free_from


def _was_never_served(status: int | None, value: dict[str, Any]) -> bool:
    """Whether the line says that the API was not asked, and the caller got no answer of the gateway's own."""
    is_without = "upstream" in value and value["upstream"] in BLANK
    return is_without and status is not None and (status in HUNG_UP or status >= FREE_FROM)


def _instant(value: Any) -> datetime:
    """nginx's `$time_iso8601`, or the seconds of its `$msec`."""
    if isinstance(value, str) and _EPOCH(value):
        return datetime.fromtimestamp(float(value), UTC)
    return parse_instant(value, "time")


def _authorization(raw: dict[str, Any]) -> tuple[int, UUID] | None:
    named = raw.get("authorization")
    if named is None:
        return None
    try:
        return hot_row("auth", str(named))
    except TollgateError as error:
        raise InvalidRequest("unknown_authorization", error.message, "authorization") from error
