"""What is kept of a period with a margin floor, and what is looked up: whichever hour things fall into, and
whatever the clocks say, all that look see what the buckets come to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from accounts.scoping import OPERATOR
from billing.charging import Charged, Denied, Mode, Outcome, charge_many
from billing.costs import correct_cost
from billing.margin_floors import planning, set_floor
from billing.models import MarginAlert, MarginBucket, PeriodMargin
from billing.reports.present import below_floors
from billing.reversals import reverse_event
from billing.subscriptions.changing import change_subscription
from core import clock
from core.pipeline import Pipeline
from metering.event_values import CostPart
from metering.models import UsageEvent
from pricing import pricelist
from tests.billing.kept_periods import check_kept, whole, wholes
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
ONE_EACH = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
DENY = {"min_margin": "0.20", "action": "deny"}
NOW = START + timedelta(days=9, hours=3, minutes=50)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _world() -> Iterator[None]:
    make_meter()
    at(NOW)
    yield
    clock.use(None)


def at(instant: datetime) -> None:
    """Let the clock stand there, as the process's is; another process's may be wrong."""
    clock.use(lambda: instant)


def floored(floor: dict[str, Any] | None = DENY, **payer: Any) -> Tenant:
    terms = {} if floor is None else {"margin_floor": floor}
    return make_tenant(make_version([ONE_EACH], **terms), balance="100000", **payer)


def fields(price: int, cost: str | None, when: datetime | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"properties": {"tokens": price}}
    if cost is not None:
        found["costs"] = [{"vendor": "v", "amount": cost, "currency": "USD"}]
    if when is not None:
        found["occurred_at"] = when.isoformat()
    return found


def call(
    tenant: Tenant,
    key: str,
    price: int,
    cost: str | None,
    when: datetime | None = None,
    mode: Mode = Mode.ASK,
) -> Outcome:
    return charge(tenant, key, mode, **fields(price, cost, when))


def is_denied(outcome: Outcome) -> bool:
    assert isinstance(outcome, Charged | Denied), outcome
    return isinstance(outcome, Denied)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements about kept periods that the path sends, from now on."""
    found: list[str] = []
    execute = Pipeline.execute

    def note(pipe: Pipeline, query: str, params: Any = ()) -> Any:
        if "periodmargin" in query and "EXISTS" not in query:
            found.append(query.split()[0])
        return execute(pipe, query, params)

    monkeypatch.setattr(Pipeline, "execute", note)
    return found


def test_a_call_of_the_running_hour_touches_nothing_that_is_kept(
    sent: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, ready_months: None
) -> None:
    tenant = floored()
    with django_capture_on_commit_callbacks(execute=True):
        call(tenant, "a", 100, "50")
    assert sent == ["INSERT"], "the period is begun"
    row = PeriodMargin.objects.get()
    assert (row.events, row.kept_until) == (0, NOW.replace(minute=0) - HOUR)
    sent.clear()
    call(tenant, "b", 100, "50")
    call(tenant, "early", 1, "0.1", NOW + timedelta(minutes=4))
    assert sent == []
    assert (whole(tenant.payer).events, whole(tenant.payer).revenue) == (3, 201)


def test_a_process_that_does_not_know_begins_no_period_twice(sent: list[str]) -> None:
    tenant = floored()
    for key in ("a", "b"):
        planning._payers.clear()
        call(tenant, key, 100, "50")
    assert whole(tenant.payer).revenue == 200


def test_a_day_later_a_process_keeps_on_what_it_has_not_looked_at(
    sent: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, ready_months: None
) -> None:
    tenant = floored()
    for hours in (0, 2, 25, 26):
        at(NOW + timedelta(hours=hours))
        sent.clear()
        with django_capture_on_commit_callbacks(execute=True):
            call(tenant, f"k{hours}", 100, "50")
        assert sent == (["INSERT"] if hours in (0, 25) else [])
    assert PeriodMargin.objects.get().kept_until == NOW.replace(minute=0) + timedelta(hours=24)
    assert (PeriodMargin.objects.get().revenue, whole(tenant.payer).revenue) == (200, 400)


def test_who_looks_keeps_on_what_lags_and_only_that(
    sent: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, ready_months: None
) -> None:
    tenant = floored()
    with django_capture_on_commit_callbacks(execute=True):
        call(tenant, "a", 100, "70")
    for hours, moves in ((1, False), (2, False), (3, True), (4, False)):
        at(NOW + timedelta(hours=hours))
        sent.clear()
        assert not is_denied(call(tenant, f"k{hours}", 1, "0.9"))
        assert sent == (["SELECT", "INSERT"] if moves else ["SELECT"])
        check_kept(tenant.payer)
    assert PeriodMargin.objects.get().kept_until == NOW.replace(minute=0) + timedelta(hours=2)


@pytest.mark.parametrize("looks", [False, True])
def test_late_events_of_earlier_hours_and_periods_move_what_is_kept(looks: bool) -> None:
    tenant = floored()
    before = START - timedelta(days=3)
    call(tenant, "a", 100, "50")
    at(NOW + timedelta(hours=5))
    if looks:
        call(tenant, "look", 10, "9")
    for number, when in enumerate((NOW - HOUR, NOW, NOW + HOUR, NOW + 4 * HOUR, NOW + 5 * HOUR, before)):
        call(tenant, f"late {number}", 10, "8.5", when, Mode.REPORT)
        check_kept(tenant.payer)
    (row,) = [row for row in wholes(tenant.payer) if row.key.starts_at == START.isoformat()]
    extra = (10, Decimal(9)) if looks else (0, Decimal(0))
    assert (row.revenue, row.cost) == (150 + extra[0], Decimal("92.5") + extra[1])


def test_a_batch_with_late_calls_decides_by_all_that_it_has_booked() -> None:
    tenant = floored()
    call(tenant, "a", 100, "70")
    at(NOW + 6 * HOUR)
    calls = [
        (50, "10", None),
        (100, "100", NOW),  # 250 of revenue, 180 of cost
        (10, "20", None),  # 260 and 200
        (10, "20", NOW + 2 * HOUR),  # 270 and 220: more than 216
        (10, "16", NOW + 6 * HOUR),  # 270 and 216
        (0, "0.01", NOW - HOUR),
    ]
    requests = [request(tenant, f"k{n}", **fields(*one)) for n, one in enumerate(calls)]
    assert [is_denied(one) for one in charge_many(requests)] == [False, False, False, True, False, True]
    row = whole(tenant.payer)
    assert (row.revenue, row.cost) == (270, 216)


def test_the_alert_says_what_the_period_came_to_in_all_of_its_hours() -> None:
    tenant = floored({"min_margin": "0.20"})
    for hours in range(8):
        at(NOW + hours * HOUR)
        call(tenant, f"k{hours}", 10, "7")
    at(NOW + 8 * HOUR)
    calls = [request(tenant, f"n{n}", **fields(10, cost)) for n, cost in enumerate(["8", "20", "40"])]
    charge_many(calls)
    row = MarginAlert.objects.get()
    assert (row.events, row.costed, row.revenue, row.cost) == (10, 10, 100, 84)
    assert row.detail["call"] == "n1"


def test_clocks_that_differ_around_the_full_hour_lose_nothing() -> None:
    """One process is ahead and keeps; one that is behind goes on to charge calls of its own running hour."""
    tenant = floored()
    full = NOW.replace(minute=0)
    call(tenant, "a", 100, "70", full - 2 * HOUR)
    for behind in (timedelta(0), timedelta(minutes=1), timedelta(minutes=30), HOUR):
        for around in (timedelta(0), timedelta(seconds=1), timedelta(minutes=59)):
            at(full + around)
            planning._payers.clear()
            call(tenant, f"ahead {behind} {around}", 10, "9")  # looks and keeps on
            at(full + around - behind)
            call(tenant, f"behind {behind} {around}", 10, "2")
            at(full + around)
            check_kept(tenant.payer)
        full += 5 * HOUR
    row = whole(tenant.payer)
    assert (row.events, row.revenue, row.cost) == (25, 340, 70 + 12 * 11)


def test_an_hour_that_ends_between_a_look_and_a_charge_is_in_the_sums() -> None:
    tenant = floored()
    end = NOW.replace(minute=0) + HOUR
    at(end - timedelta(seconds=1))
    assert not is_denied(call(tenant, "a", 100, "79"))
    assert not is_denied(call(tenant, "b", 10, "9"))  # 110 and 88: exactly the floor
    at(end)
    assert is_denied(call(tenant, "c", 0, "0.1"))
    assert is_denied(call(tenant, "d", 0, "0.1", end - timedelta(seconds=1)))
    at(end + 3 * HOUR)
    assert is_denied(call(tenant, "e", 10, "8.01"))
    check_kept(tenant.payer)


def test_a_floor_set_in_the_middle_of_a_period_counts_all_of_it() -> None:
    tenant = floored(None)
    call(tenant, "a", 100, "90", NOW - 30 * HOUR, Mode.REPORT)
    call(tenant, "b", 100, "70")
    assert not PeriodMargin.objects.exists()
    set_floor(tenant.payer, min_margin=Decimal("0.2"), action="deny")
    assert is_denied(call(tenant, "c", 0, "0.1"))
    row = whole(tenant.payer)
    assert (row.events, row.revenue, row.cost) == (2, 200, 160)
    assert PeriodMargin.objects.get().revenue == 100


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "Asia/Kathmandu", "America/St_Johns", "Europe/Berlin"])
def test_periods_that_meet_in_the_middle_of_an_hour(zone: str) -> None:
    """A subscription that began at 03:50 has its periods meet then; the hour counts in the later one."""
    started = datetime(2026, 1, 5, 3, 50, tzinfo=UTC)
    tenant = floored(starts_at=started, time_zone=zone)
    meet = datetime(2026, 2, 5, 3, 50, tzinfo=UTC)
    for number, minutes in enumerate((-130, -65, -51, -20, -1, 0, 1, 20, 70, 130, 500)):
        at(meet + timedelta(minutes=minutes))
        call(tenant, f"k{number}", 10, "8.5")
        call(tenant, f"n{number}", 10, "1")
        check_kept(tenant.payer)


def test_a_process_that_does_not_know_the_period_yet_moves_the_hour_in_which_it_began(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A year with a floor begins at 04:50. Another process books in it, and keeps its first hour."""
    tenant, meet = floored(None), NOW + HOUR
    assert tenant.subscription is not None
    yearly = make_version([ONE_EACH], interval="year", margin_floor=DENY)
    change_subscription(tenant.subscription, version=yearly, at=meet)
    call(tenant, "before", 10, "1")
    mine = (dict(pricelist._payers), dict(planning._payers))
    at(meet + 4 * HOUR)
    call(tenant, "theirs", 10, "9", mode=Mode.REPORT)
    check_kept(tenant.payer)
    monkeypatch.setattr(pricelist, "_payers", mine[0])
    monkeypatch.setattr(planning, "_payers", mine[1])
    call(tenant, "late", 10, "9", meet - timedelta(minutes=20), Mode.REPORT)
    row = whole(tenant.payer)
    assert (row.events, row.revenue, row.cost) == (2, 20, 18)


def test_unknown_costs_are_told_once_and_then_nobody_looks(
    sent: list[str], django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks, ready_months: None
) -> None:
    tenant = floored({"min_margin": "0.20"})
    for key in ("a", "b"):
        sent.clear()
        with django_capture_on_commit_callbacks(execute=True):
            call(tenant, key, 10, None)
            call(tenant, f"{key} lacks", 10, "20")
    assert sent == []
    assert [row.kind for row in MarginAlert.objects.order_by("pk")] == ["unknown_cost", "below_floor"]
    planning._payers.clear()
    with django_capture_on_commit_callbacks(execute=True):
        call(tenant, "c", 10, None)
    assert sent == ["SELECT", "INSERT"], "another process looks once"
    assert MarginAlert.objects.count() == 2
    sent.clear()
    call(tenant, "d", 10, None)
    assert sent == []


def test_what_was_told_in_a_transaction_that_is_undone_is_told_again() -> None:
    tenant = floored({"min_margin": "0.20"})
    with transaction.atomic():
        call(tenant, "a", 10, "9")
        transaction.set_rollback(True)
    assert not MarginAlert.objects.exists()
    call(tenant, "b", 10, "9")
    assert MarginAlert.objects.get().detail["call"] == "b"
    check_kept(tenant.payer)


@pytest.mark.parametrize("hours", [0, 1, 3, 30])
def test_costs_known_later_and_reversals_move_whatever_hour_it_was(hours: int) -> None:
    tenant = floored()
    call(tenant, "a", 100, "70")
    call(tenant, "b", 50, None)
    at(NOW + hours * HOUR)
    call(tenant, "look", 10, "9")
    correct_cost(UsageEvent.objects.get(idempotency_key="b"), (CostPart("v", Decimal("50"), "USD"),))
    row = whole(tenant.payer)
    assert (row.costed, row.revenue, row.cost) == (3, 160, 129)
    alert = MarginAlert.objects.get(kind="below_floor")
    assert (alert.detail["why"], alert.revenue, alert.cost) == ("later_cost", 160, 129)
    reverse_event(UsageEvent.objects.get(idempotency_key="a"), reason="a mistake")
    row = whole(tenant.payer)
    assert (row.events, row.revenue, row.cost) == (2, 60, 59)
    assert is_denied(call(tenant, "c", 0, "0.1"))


def test_a_reversal_that_took_its_instant_long_ago_moves_what_is_kept_since() -> None:
    tenant = floored()
    call(tenant, "a", 100, "70")
    call(tenant, "b", 50, "10")
    at(NOW + 6 * HOUR)
    call(tenant, "look", 10, "9")
    assert PeriodMargin.objects.get().revenue == 150
    at(NOW)
    reverse_event(UsageEvent.objects.get(idempotency_key="a"), reason="a job that began hours ago")
    at(NOW + 6 * HOUR)
    assert (whole(tenant.payer).revenue, PeriodMargin.objects.get().revenue) == (60, 50)


def test_the_home_page_counts_the_hours_that_are_not_kept() -> None:
    tenant = floored()
    call(tenant, "a", 100, "95", mode=Mode.REPORT)
    (one,), watched = below_floors(OPERATOR, NOW)
    assert (one.payer.pk, one.margin_rate, watched) == (tenant.payer.pk, Decimal("0.05"), 1)
    assert MarginBucket.objects.get().revenue == 100
