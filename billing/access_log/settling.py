"""A batch of lines becomes captures and events, all through the one path of a charge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from accounts.credentials import config_version
from billing.access_log.files import LINE_BYTES_MAX, RawLine
from billing.access_log.holds import SETTLED, capture_of, find_holds, void_holds
from billing.access_log.lines import Fate, Line, read_line
from billing.charging import (
    Authorized,
    ChargeRequest,
    Denied,
    Failed,
    Mode,
    Outcome,
    Quarantined,
    charge_many,
)
from billing.gateway.reading import FAIL_OPEN
from billing.models import Authorization
from core import clock
from core.database_errors import Unavailable
from core.errors import NotFound, TollgateError
from metering.catalogue import MeterCatalogue, meter_catalogue

SOURCE: Final = "access_log"
BUSY: Final = "busy"


@dataclass(frozen=True, slots=True)
class Unread:
    """A line that could not be settled, and why."""

    line: RawLine
    problem: str


def settle_lines(raw: Sequence[RawLine], free_from: int) -> tuple[Counter[str], list[Unread]]:
    """Settle these lines; how many there were of each kind (see `AccessLog`), and those that could not be.

    Safe to do again. Raises Unavailable when the database is away: then some may have counted, and a
    repetition finds them.
    """
    now, meters = clock.now(), meter_catalogue(config_version())
    counts: Counter[str] = Counter(lines=len(raw))
    unread: list[Unread] = []
    lines: list[tuple[RawLine, Line]] = []
    for one in raw:
        try:
            lines.append((one, _read(one, free_from)))
        except TollgateError as error:
            unread.append(Unread(one, error.message))
    holds = find_holds([line for _, line in lines])
    requests: list[tuple[RawLine, str, ChargeRequest]] = []
    failed: list[Authorization] = []
    for one, line in lines:
        hold = None if line.authorization is None else holds.get(line.authorization)
        try:
            request = _request(line, hold, now, meters)
        except TollgateError as error:
            unread.append(Unread(one, error.message))
            continue
        if request is not None:
            requests.append((one, *request))
        elif hold is not None:
            failed.append(hold)
        else:
            counts["stopped" if line.fate is Fate.STOPPED else "free"] += 1
    counts.update(void_holds(failed))
    outcomes = charge_many([request for _, _, request in requests])
    for (one, kind, _), outcome in zip(requests, outcomes, strict=True):
        _count(one, kind, outcome, counts, unread)
    counts["unread"] = len(unread)
    return counts, unread


def _read(raw: RawLine, free_from: int) -> Line:
    if raw.is_cut:
        raise TollgateError("line_too_long", f"The line is longer than {LINE_BYTES_MAX:,} bytes.")
    return read_line(raw.text, free_from, raw.caller)


def _request(
    line: Line, hold: Authorization | None, now: datetime, meters: MeterCatalogue
) -> tuple[str, ChargeRequest] | None:
    """The count that a line adds to and what is to be booked for it; None when nothing is."""
    if line.fate is Fate.HELD and hold is None:
        raise NotFound("unknown_authorization", "There is no such authorization.", "authorization")
    if line.is_free:
        return None
    if hold is not None:
        return "captured", capture_of(hold, line, now, meters)
    if line.fate is Fate.STOPPED:
        return None
    if line.fate is Fate.PASSED:
        return "passed", ChargeRequest(line.event(now, meters), Mode.REPORT, FAIL_OPEN)
    return "events", ChargeRequest(line.event(now, meters), Mode.REPORT, SOURCE)


def _count(line: RawLine, kind: str, outcome: Outcome, counts: Counter[str], unread: list[Unread]) -> None:
    if isinstance(outcome, Failed):
        if isinstance(outcome.error, Unavailable):
            raise outcome.error
        if outcome.error.code == BUSY:  # the line is as good as any: it comes again
            raise Unavailable(BUSY, outcome.error.message)
        if outcome.error.code in SETTLED:
            counts["known"] += 1
            return
        unread.append(Unread(line, outcome.error.message))
    elif isinstance(outcome, Quarantined):
        counts["quarantined"] += 1
    elif isinstance(outcome, Denied | Authorized):
        raise AssertionError("reported usage is never denied, and holds nothing")
    else:
        counts["known" if outcome.is_replay else kind] += 1
