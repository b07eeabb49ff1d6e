"""What happens on the path of calls, in figures and, where it is worth one, in a line of the log.

On the path a call costs one append; the rest is done by a thread every second (`core.telemetry`).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final

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


Call = tuple[str, float | None, Result, str]
"""Path, seconds, what came of it, the request's id."""
CHARGES: Final = "/v1/charges"
WORDS: Final = {Charged: "charged", Denied: "denied", Held: "authorized"}
"""The outcomes that come most often."""


def note_call(environ: Mapping[str, Any], result: Result) -> None:
    """A charge, hold or check was answered so."""
    began = environ.get(BEGAN)
    seconds = None if began is None else perf_counter() - began
    calls.note((environ["PATH_INFO"], seconds, result, environ.get(REQUEST_ID, "")))


def note_events(counts: Mapping[str, Any]) -> None:
    """A batch of events was taken in; `counts` as `/v1/events` answers them."""
    for outcome in ("accepted", "duplicates", "quarantined", "rejected", "unmatched", "unpriced"):
        if counts[outcome]:
            EVENTS.labels(outcome).inc(counts[outcome])


def take_calls(noted: list[Call]) -> None:
    """Count, and log what is worth it."""
    outcomes: Tally[tuple[str, str]] = Tally()
    reasons: Tally[str] = Tally()
    seconds_of: defaultdict[str, list[float]] = defaultdict(list)
    logs_all = settings.LOG_CALLS == "all"
    for call in noted:
        path, seconds, result, _ = call
        kind = "charge" if path == CHARGES else kind_of(path)
        word = WORDS.get(type(result)) or outcome_of(result)
        if word == "charged" and result.is_replay:  # type: ignore[union-attr]
            word = "replayed"
        outcomes[kind, word] += 1
        if isinstance(result, Denied):
            reasons[result.reason] += 1
        if seconds is not None:
            seconds_of[kind].append(seconds)
        if logs_all or word == "failed" or (seconds is not None and seconds >= SLOW_SECONDS):
            log_call(kind, word, call)
    for labels, number in outcomes.items():
        CALLS.labels(*labels).inc(number)
    for reason, number in reasons.items():
        DENIALS.labels(reason).inc(number)
    for kind, all_seconds in seconds_of.items():
        observe_all(SECONDS.labels(kind), all_seconds)
    measure_queues()


def observe_all(histogram: Histogram, seconds: list[float]) -> None:
    """`histogram.observe` for each, at a fraction of the price: one write a bucket instead of two a call."""
    bounds: list[float] = histogram._upper_bounds
    for place, number in Tally([bisect_left(bounds, each) for each in seconds]).items():
        histogram._buckets[place].inc(number)
    histogram._sum.inc(sum(seconds))


def measure_queues() -> None:
    """How many charges wait in this process, and for whom."""
    lanes = list(batching._lanes.values())
    QUEUE.set(batching._everyone.waiting)
    HOT_LANES.set(len(lanes))
    HOT_QUEUE.set(max((lane.waiting for lane in lanes), default=0))


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
    if isinstance(result, Failed | BaseException):
        error = result.error if isinstance(result, Failed) else result
        return "refused" if isinstance(error, TollgateError) and error.status < 500 else "failed"
    if getattr(result, "is_replay", False):
        return "replayed"
    return type(result).__name__.lower()


def log_call(kind: str, outcome: str, call: Call) -> None:
    """One line: the request, what was charged or held for whom, how long it took."""
    _, seconds, result, request_id = call
    log.info(
        "call_answered",
        request_id=request_id,
        kind=kind,
        outcome=outcome,
        seconds=None if seconds is None else round(seconds, 6),
        **ids_of(result),
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
