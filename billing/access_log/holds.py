"""The holds that lines of an access log name: found, captured with what the calls took, or voided."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db.models import Q, TextField
from django.db.models.functions import Cast

from billing.access_log.lines import Line
from billing.authorizations import capture_request, void
from billing.charging import ChargeRequest, Mode, Over
from billing.models import Authorization
from core import clock
from core.errors import Conflict
from core.jsonio import decode_json
from metering.catalogue import MeterCatalogue

SETTLED: Final = frozenset({"authorization_captured", "authorization_voided"})
"""Errors of a hold that has been settled already, by another reading or by the operator's own code."""
GATEWAY: Final = "gateway"


def find_holds(lines: Sequence[Line]) -> dict[tuple[int, UUID], Authorization]:
    """The holds that lines name, by their ids; two statements at most."""
    wanted = {line.authorization for line in lines if line.authorization is not None}
    ids = Q(*[Q(customer_id=customer_id, id=uuid) for customer_id, uuid in wanted], _connector=Q.OR)
    if not wanted:
        return {}
    rows = Authorization.objects.filter(ids, kind=Authorization.Kind.AUTHORIZATION).defer("payload")
    found = rows.annotate(payload_text=Cast("payload", TextField()))
    return {(row.customer_id, row.id): row for row in found}


def capture_of(hold: Authorization, line: Line, now: datetime, meters: MeterCatalogue) -> ChargeRequest:
    """The capture of a call that has happened: it is recorded and charged whatever is left.

    What was expected is charged where the line does not say more. It happened when it was authorized, however
    late the log is read: so it belongs into its own period, at its own price. Raises InvalidRequest.
    """
    expected: dict[str, Any] = decode_json(hold.payload_text.encode()).get("properties") or {}  # type: ignore[attr-defined]
    body = {"properties": line.properties(hold.event, expected, meters), "over": Over.OVERDRAFT.value}
    request = capture_request(body, hold, now, mode=Mode.REPORT, source=GATEWAY)
    request.event.occurred_at = hold.occurred_at
    return request


def void_holds(holds: Sequence[Authorization]) -> Counter[str]:
    """Let go of the holds of calls that failed; how many were `voided`, `known` (settled), `free` (over)."""
    counts: Counter[str] = Counter()
    for hold in holds:
        status = hold.status_at(clock.now())
        if status == Authorization.Status.AUTHORIZED:
            try:
                hold.status = void(hold).hold.status  # another line may name it again
            except Conflict:  # settled or over since it was read
                status = Authorization.Status.CAPTURED.value
        counts[_VOIDED.get(status, "known")] += 1
    return counts


_VOIDED: Final[dict[str, str]] = {
    Authorization.Status.AUTHORIZED.value: "voided",
    Authorization.Status.EXPIRED.value: "free",
}
