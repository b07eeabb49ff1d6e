"""What happens on the path of calls, in figures and, where it is worth one, in a line of the log.

On the path a call costs one append; the rest is done by a thread every second (`core.telemetry`).
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final, NamedTuple

import structlog
from django.conf import settings
from prometheus_client import Counter, Gauge, Histogram

from billing.charging import Authorized, Charged, Denied, Failed, Outcome, Quarantined, Recorded, batching
from billing.gateway.holding import Held
from core.errors import TollgateError
from core.ids import hot_id, public_id
from core.telemetry import REGISTRY, Notebook

log = structlog.get_logger(__name__)

BEGAN: Final = "tollgate.began"
REQUEST_ID: Final = "tollgate.request_id"
SLOW_SECONDS: Final = 1.0
BUCKETS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

CALLS: Final = Counter(
    "tollgate_calls", "Charges, holds and gateway checks, by outcome.", ("kind", "outcome"), registry=REGISTRY
)
SECONDS: Final = Histogram(
    "tollgate_call_duration_seconds",
    "From the request's arrival to its answer.",
    ("kind",),
    buckets=BUCKETS,
    registry=REGISTRY,
)
DENIALS: Final = Counter(
    "tollgate_denials", "Calls that were denied, by reason.", ("reason",), registry=REGISTRY
)
EVENTS: Final = Counter(
    "tollgate_events",
    "Events reported to /v1/events, by what became of them.",
    ("outcome",),
    registry=REGISTRY,
)
QUEUE: Final = Gauge(
    "tollgate_charge_queue_length",
    "Charges that wait for the next transaction.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
HOT_LANES: Final = Gauge(
    "tollgate_hot_wallets",
    "Payers whose row is locked elsewhere and whose charges wait in a queue of their own.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
HOT_QUEUE: Final = Gauge(
    "tollgate_hot_wallet_queue_length",
    "Charges that wait in the longest queue of a hot wallet.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)

Result = Outcome | Held | BaseException


class Call(NamedTuple):
    """A call that was answered."""

    path: str
    seconds: float | None
    result: Result
    request_id: str


def note_call(environ: Mapping[str, Any], result: Result) -> None:
    """A charge, hold or check was answered so."""
    began = environ.get(BEGAN)
    seconds = None if began is None else perf_counter() - began
    calls.note(Call(environ["PATH_INFO"], seconds, result, environ.get(REQUEST_ID, "")))


def note_events(counts: Mapping[str, Any]) -> None:
    """A batch of events was taken in; `counts` as `/v1/events` answers them."""
    for outcome in ("accepted", "duplicates", "quarantined", "rejected", "unmatched", "unpriced"):
        if counts[outcome]:
            EVENTS.labels(outcome).inc(counts[outcome])


def take_calls(noted: list[Call]) -> None:
    """Count, and log what is worth it."""
    outcomes: Tally[tuple[str, str]] = Tally()
    reasons: Tally[str] = Tally()
    histograms: dict[str, Any] = {}
    for call in noted:
        kind = kind_of(call.path)
        outcomes[kind, outcome_of(call.result)] += 1
        if isinstance(call.result, Denied):
            reasons[call.result.reason] += 1
        if call.seconds is not None:
            histograms.setdefault(kind, SECONDS.labels(kind)).observe(call.seconds)
        if settings.LOG_CALLS == "all" or is_worth_a_line(call):
            log_call(kind, call)
    for labels, number in outcomes.items():
        CALLS.labels(*labels).inc(number)
    for reason, number in reasons.items():
        DENIALS.labels(reason).inc(number)
    measure_queues()


def measure_queues() -> None:
    """How many charges wait in this process, and for whom."""
    lanes = list(batching._lanes.values())
    QUEUE.set(len(batching._everyone._waiting))
    HOT_LANES.set(len(lanes))
    HOT_QUEUE.set(max((len(lane._waiting) for lane in lanes), default=0))


def kind_of(path: str) -> str:
    """`charge`, `authorization`, `capture`, `void`, `extend`, `gateway`: never a part of the path itself."""
    if path.startswith("/v1/gateway/"):
        return "gateway"
    if path.startswith("/v1/authorizations"):
        verb = path.rpartition("/")[2]
        return verb if verb in ("capture", "void", "extend") else "authorization"
    return "charge"


def outcome_of(result: Result) -> str:
    """One word for what came of a call."""
    if isinstance(result, Denied):
        return "denied"
    if isinstance(result, Failed | BaseException):
        error = result.error if isinstance(result, Failed) else result
        return "refused" if isinstance(error, TollgateError) and error.status < 500 else "failed"
    if isinstance(result, Held):
        return "authorized"
    if getattr(result, "is_replay", False):
        return "replayed"
    return type(result).__name__.lower()


def is_worth_a_line(call: Call) -> bool:
    """Whether it took long or failed by our fault."""
    return (call.seconds or 0.0) >= SLOW_SECONDS or outcome_of(call.result) == "failed"


def log_call(kind: str, call: Call) -> None:
    """One line: the request, what was charged or held for whom, how long it took."""
    log.info(
        "call_answered",
        request_id=call.request_id,
        kind=kind,
        outcome=outcome_of(call.result),
        seconds=None if call.seconds is None else round(call.seconds, 6),
        **ids_of(call.result),
    )


def ids_of(result: Result) -> dict[str, Any]:
    """The ids that an outcome carries."""
    if isinstance(result, Charged | Recorded):
        found = {"customer": public_id("cus", result.customer_id)}
        found["charge"] = hot_id("ch", result.customer_id, result.id)
        return found | ({"payer": result.billing_entity} if isinstance(result, Charged) else {})
    if isinstance(result, Authorized):
        hold = hot_id("auth", result.customer_id, result.id)
        return {
            "customer": public_id("cus", result.customer_id),
            "payer": result.billing_entity,
            "authorization": hold,
        }
    if isinstance(result, Held):
        return {"authorization": result.authorization}
    if isinstance(result, Denied):
        return {"reason": result.reason, "level": result.level, "level_id": result.level_id}
    if isinstance(result, Quarantined):
        return {"reason": result.reason}
    error = result.error if isinstance(result, Failed) else result
    return {"code": error.code if isinstance(error, TollgateError) else type(error).__name__}


calls: Final[Notebook[Call]] = Notebook(take_calls)
