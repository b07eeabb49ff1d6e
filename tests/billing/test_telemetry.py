"""Figures of calls: what is counted, that it is counted once, and what of it is logged."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import structlog
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from billing import telemetry
from billing.charging import Authorized, Charged, Denied, Failed, Recorded
from billing.gateway.holding import Held
from billing.telemetry import BUCKETS, Call, kind_of, observe_all, take_calls
from core.database_errors import Unavailable
from core.errors import InvalidRequest
from core.ids import hot_id
from core.telemetry import REGISTRY
from tests.accounts.caller import caller_with
from tests.billing.world import make_meter, make_tenant, make_version

AT = datetime(2026, 3, 1, tzinfo=UTC)
ONE = UUID(int=1)
AMOUNTS: Any = {"available": Decimal(1), "settled": Decimal(1), "held": Decimal(0)}


def charged(**changes: Any) -> Charged:
    fields: Any = {
        "customer_id": 7,
        "id": ONE,
        "recorded_at": AT,
        "seq": 1,
        "billing_entity": "be_00000001",
        "amount": Decimal(1),
        "currency": "USD",
        "cost": None,
        "lines": [],
    }
    return Charged(**fields | AMOUNTS | changes)


def denied(reason: str = "insufficient_funds") -> Denied:
    return Denied(reason, "payer", "be_00000001", Decimal(1), "USD", **AMOUNTS)


def figure(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/charges", "charge"),
        ("/v1/authorizations", "authorization"),
        ("/v1/authorizations/auth_x/capture", "capture"),
        ("/v1/authorizations/auth_x/void", "void"),
        ("/v1/authorizations/auth_x/extend", "extend"),
        ("/v1/gateway/authorize", "gateway"),
        ("/v1/gateway/authorize/of/the/caller", "gateway"),
        ("/v1/authorizations/capture-me", "authorization"),
    ],
)
def test_a_kind_is_one_of_few_words_whatever_the_path(path: str, kind: str) -> None:
    assert kind_of(path) == kind


@pytest.mark.parametrize(
    ("result", "word"),
    [
        (charged(), "charged"),
        (charged(is_replay=True), "replayed"),
        (Recorded(7, ONE, AT, 1, True, False), "recorded"),
        (Recorded(7, ONE, AT, 1, True, False, is_replay=True), "replayed"),
        (Authorized(7, ONE, "be_00000001", Decimal(1), "USD", AT, **AMOUNTS), "authorized"),
        (Held("auth_x", Decimal(1)), "authorized"),
        (denied(), "denied"),
        (Failed(InvalidRequest("c", "m")), "refused"),
        (InvalidRequest("c", "m"), "refused"),
        (Failed(Unavailable("unavailable", "m")), "failed"),
        (RuntimeError("x"), "failed"),
    ],
    ids=range(11),
)
def test_an_outcome_is_one_word(result: Any, word: str) -> None:
    before = figure("tollgate_calls_total", kind="charge", outcome=word)
    take_calls([("/v1/charges", 0.01, result, "r")])
    assert figure("tollgate_calls_total", kind="charge", outcome=word) == before + 1


def test_denials_are_counted_by_reason() -> None:
    before = {
        reason: figure("tollgate_denials_total", reason=reason) for reason in ("suspended", "entitlement")
    }
    take_calls([("/v1/charges", 0.01, denied("suspended"), "r")] * 3)
    take_calls([("/v1/gateway/authorize", None, denied("entitlement"), "r")])
    assert figure("tollgate_denials_total", reason="suspended") == before["suspended"] + 3
    assert figure("tollgate_denials_total", reason="entitlement") == before["entitlement"] + 1


def test_durations_drawn_in_bulk_are_those_drawn_one_by_one() -> None:
    registry = CollectorRegistry()
    each = Histogram("each", "", registry=registry, buckets=BUCKETS)
    bulk = Histogram("bulk", "", registry=registry, buckets=BUCKETS)
    seconds = [0.0, 0.001, 0.0025, 0.00251, 0.05, 0.3, 5.0, 5.01, 100.0, 0.05]
    for one in seconds:
        each.observe(one)
    observe_all(bulk, seconds)
    for le in (*map(str, BUCKETS), "+Inf"):
        assert registry.get_sample_value("each_bucket", {"le": le}) == registry.get_sample_value(
            "bulk_bucket", {"le": le}
        )
    assert registry.get_sample_value("each_sum") == registry.get_sample_value("bulk_sum")


def lines_of(notes: list[Call]) -> list[Any]:
    with structlog.testing.capture_logs() as lines:
        take_calls(notes)
    return list(lines)


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """A logger that was not used before, which `capture_logs` can still turn aside."""
    monkeypatch.setattr(telemetry, "log", structlog.get_logger("telemetry"))


def test_only_what_is_slow_or_our_fault_gets_a_line() -> None:
    good, slow = ("/v1/charges", 0.9, charged(), "r1"), ("/v1/charges", 1.0, charged(), "r2")
    ours = ("/v1/charges", 0.1, RuntimeError("x"), "r3")
    theirs = ("/v1/charges", 0.1, Failed(InvalidRequest("c", "m")), "r4")
    lines = lines_of([good, slow, ours, theirs])
    assert [line["request_id"] for line in lines] == ["r2", "r3"]
    assert lines[1]["code"] == "RuntimeError"


def test_with_all_calls_wanted_each_line_has_the_ids_of_what_happened(settings: Any) -> None:
    settings.LOG_CALLS = "all"
    hold = Authorized(7, ONE, "be_00000001", Decimal(1), "USD", AT, **AMOUNTS)
    lines = lines_of(
        [
            ("/v1/charges", 0.0123456, charged(), "r1"),
            ("/v1/authorizations", None, hold, "r2"),
            ("/v1/gateway/authorize", 0.1, Held("auth_x", Decimal(1)), "r3"),
            ("/v1/charges", 0.1, denied(), "r4"),
            ("/v1/charges", 0.1, Failed(InvalidRequest("bad", "m")), "r5"),
        ]
    )
    assert lines[0] == {
        "event": "call_answered",
        "log_level": "info",
        "request_id": "r1",
        "kind": "charge",
        "outcome": "charged",
        "seconds": 0.012346,
        "customer": "cus_00000007",
        "payer": "be_00000001",
        "charge": hot_id("ch", 7, ONE),
    }
    assert (lines[1]["authorization"], lines[1]["seconds"]) == (hot_id("auth", 7, ONE), None)
    assert lines[2]["authorization"] == "auth_x"
    assert (lines[3]["reason"], lines[3]["level_id"]) == ("insufficient_funds", "be_00000001")
    assert (lines[4]["outcome"], lines[4]["code"]) == ("refused", "bad")


@pytest.mark.django_db
def test_a_scrape_knows_what_the_api_did_a_moment_ago() -> None:
    make_meter()
    component = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
    tenant = make_tenant(make_version([component]), balance="2", overdraft=Decimal(0))
    caller, before = caller_with("admin"), scraped()
    body = {"event": "completion", "workspace": tenant.workspace.external_id, "properties": {"tokens": 100}}
    statuses = [caller.post("/v1/charges", body | {"idempotency_key": f"k{n}"}).status for n in (1, 2, 2, 3)]
    assert statuses == [201, 201, 200, 402]
    events = [body | {"idempotency_key": "k4"}, body | {"idempotency_key": "k4"}, {"event": "x"}]
    assert caller.post("/v1/events", {"events": events}).status == 200
    after = scraped()
    grown = {key: after[key] - before.get(key, 0.0) for key in after if after[key] != before.get(key, 0.0)}
    assert grown["tollgate_calls_total", "charge charged"] == 2
    assert grown["tollgate_calls_total", "charge replayed"] == 1
    assert grown["tollgate_calls_total", "charge denied"] == 1
    assert grown["tollgate_denials_total", "insufficient_funds"] == 1
    assert grown["tollgate_events_total", "accepted"] == 1
    assert grown["tollgate_events_total", "duplicates"] == 1
    assert grown["tollgate_events_total", "rejected"] == 1


@pytest.mark.django_db
def test_who_may_read_may_scrape_and_nobody_else() -> None:
    reader = caller_with("read")
    assert reader.request("GET", "/metrics", headers={"Accept": "text/plain"}).status == 200
    assert caller_with("events:write").request("GET", "/metrics").error["code"] == "missing_scope"
    assert (
        caller_with("events:write").request("GET", "/metrics", headers={"Accept": "text/plain"}).status == 403
    )
    unknown = reader.request("GET", "/metrics", headers={"Authorization": "Bearer tg_x"})
    assert (unknown.status, unknown.error["code"]) == (401, "invalid_key")
    assert caller_with("admin").request("POST", "/metrics", b"{}").status == 405


def scraped() -> dict[tuple[str, str], float]:
    """(name, labels' values) -> figure, as Prometheus reads them."""
    answer = caller_with("read").request("GET", "/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
    }
