"""Margin floors in the charge path: what they refuse, what they tell staff, what they cost who has none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.charging import Charged, Denied, Mode, Outcome, charge_many
from billing.margin_floors import remove_floor, set_floor
from billing.models import Denial, MarginAlert, PeriodMargin
from billing.periods import book_base_fees
from core import clock
from core.errors import InvalidRequest, NotFound
from metering.models import ExchangeRate
from tests.billing.kept_periods import wholes
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version, request
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
ONE_EACH = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
DENY = {"min_margin": "0.20", "min_volume": "50", "action": "deny"}
NOTIFY = DENY | {"action": "notify"}
NOW = START + timedelta(days=9, hours=3)
_clock = standing_at(NOW)


@pytest.fixture(autouse=True)
def _meter() -> None:
    make_meter()


def floored(floor: dict[str, Any] | None = DENY, **payer: Any) -> Tenant:
    """A payer at 1 a token, on a version with this floor."""
    terms = {} if floor is None else {"margin_floor": floor}
    currency = payer.get("currency", "USD")
    return make_tenant(make_version([ONE_EACH], currency=currency, **terms), balance="10000", **payer)


def call(
    tenant: Tenant, key: str, price: int, cost: str | None, mode: Mode = Mode.ASK, **fields: Any
) -> Outcome:
    """A call at this price (in tokens) and expected cost in the payer's currency."""
    if cost is not None:
        fields["costs"] = [{"vendor": "v", "amount": cost, "currency": "USD"}]
    return charge(tenant, key, mode, properties={"tokens": price}, **fields)


def is_denied(outcome: Outcome) -> bool:
    if isinstance(outcome, Denied):
        assert outcome.reason == "margin_floor"
        return True
    assert isinstance(outcome, Charged), outcome
    return False


def alerts(tenant: Tenant) -> list[str]:
    rows = MarginAlert.objects.filter(billing_entity_id=tenant.payer.pk).order_by("pk")
    return [row.kind for row in rows]


def check_sums(tenant: Tenant) -> None:
    """What is kept and what is looked up is what the buckets come to, from scratch."""
    assert wholes(tenant.payer)


def test_below_the_volume_everything_passes_and_from_it_on_the_floor_holds() -> None:
    tenant = floored()
    assert not is_denied(call(tenant, "a", 49, "49"))
    assert is_denied(call(tenant, "b", 1, "1"))
    assert not is_denied(call(tenant, "c", 10, "2"))
    check_sums(tenant)


def test_a_call_that_leaves_enough_itself_is_let_through_below_the_floor() -> None:
    tenant = floored()
    call(tenant, "a", 100, "100", Mode.REPORT)
    assert is_denied(call(tenant, "b", 10, "8.01"))
    assert not is_denied(call(tenant, "c", 10, "8"))
    assert not is_denied(call(tenant, "free", 0, "0"))


def test_exactly_at_the_floor_is_not_below_it() -> None:
    tenant = floored()
    assert not is_denied(call(tenant, "a", 100, "79.999999999999999999"))
    assert is_denied(call(tenant, "b", 0, "0.000000000000000002"))
    assert not is_denied(call(tenant, "c", 0, "0.000000000000000001"))


def test_a_refusal_consumes_no_key_and_moves_nothing() -> None:
    tenant = floored()
    call(tenant, "a", 100, "80")
    assert is_denied(call(tenant, "b", 1, "1"))
    assert not is_denied(call(tenant, "b", 10, "2"))
    row = Denial.objects.get()
    assert tenant.subscription is not None
    assert (row.reason, row.level, row.level_id) == (
        "margin_floor",
        "subscription",
        tenant.subscription.public_id,
    )
    check_sums(tenant)


def test_notify_is_the_default_tells_staff_once_and_denies_nothing() -> None:
    tenant = floored({"min_margin": "0.20"})
    assert not is_denied(call(tenant, "a", 10, "9"))
    assert not is_denied(call(tenant, "b", 10, "9"))
    assert alerts(tenant) == ["below_floor"]
    row = MarginAlert.objects.get()
    assert (row.revenue, row.cost, row.events, row.costed, row.bound) == (10, 9, 1, 1, Decimal("0.2"))
    assert (row.detail["call"], row.detail["action"]) == ("a", "notify")
    assert (row.starts_at, row.ends_at) == (START, datetime(2026, 2, 1, tzinfo=UTC))


def test_a_denial_tells_staff_too() -> None:
    tenant = floored()
    call(tenant, "a", 100, "80")
    assert alerts(tenant) == []
    call(tenant, "b", 1, "1")
    call(tenant, "c", 1, "1")
    assert alerts(tenant) == ["below_floor"]


def test_unknown_cost_tells_staff_once_and_never_denies() -> None:
    tenant = floored()
    call(tenant, "a", 100, "100", Mode.REPORT)
    assert not is_denied(call(tenant, "b", 1, None))
    assert not is_denied(call(tenant, "c", 1, None))
    assert alerts(tenant) == ["below_floor", "unknown_cost"]
    assert MarginAlert.objects.last().detail["why"] == "no_cost"  # type: ignore[union-attr]
    check_sums(tenant)


def test_without_an_exchange_rate_cost_and_revenue_cannot_be_compared() -> None:
    tenant = floored(currency="JPY")
    assert not is_denied(call(tenant, "a", 100, "100"))
    assert alerts(tenant) == ["unknown_cost"]
    assert MarginAlert.objects.get().detail["why"] == "no_exchange_rate"
    ExchangeRate.objects.create(base="USD", quote="JPY", rate=Decimal(150), starts_at=START, created_at=START)
    assert is_denied(call(tenant, "b", 100, "1.07"))
    assert not is_denied(call(tenant, "c", 100, "0.5"))
    check_sums(tenant)


def test_thousandths_count_in_dinars() -> None:
    tenant = floored(currency="KWD")
    ExchangeRate.objects.create(
        base="USD", quote="KWD", rate=Decimal("0.307"), starts_at=START, created_at=START
    )
    assert not is_denied(call(tenant, "a", 100, "260.5"))
    assert is_denied(call(tenant, "b", 0, "0.09"))
    assert not is_denied(call(tenant, "c", 0, "0.08"))


def test_reported_usage_is_taken_and_staff_is_told() -> None:
    tenant = floored()
    assert not is_denied(call(tenant, "a", 100, "500", Mode.REPORT))
    assert alerts(tenant) == ["below_floor"]


def test_a_batch_obeys_it_one_after_the_other() -> None:
    tenant = floored()
    costs = enumerate([(60, "48"), (1, "9"), (5, "9"), (20, "9"), (1, "9")])
    requests = [
        request(
            tenant,
            f"k{number}",
            properties={"tokens": price},
            costs=[{"vendor": "v", "amount": cost, "currency": "USD"}],
        )
        for number, (price, cost) in costs
    ]
    outcomes = charge_many(requests)
    assert [is_denied(outcome) for outcome in outcomes] == [False, True, True, False, True]
    check_sums(tenant)


def test_it_is_the_last_of_the_reasons() -> None:
    tenant = floored(overdraft=Decimal(0))
    outcome = call(tenant, "a", 20_000, "20000")
    assert isinstance(outcome, Denied)
    assert outcome.reason == "insufficient_funds"


def test_a_payers_own_floor_takes_the_place_of_its_plans_and_the_next_call_obeys() -> None:
    tenant = floored()
    call(tenant, "a", 100, "80")
    assert is_denied(call(tenant, "b", 10, "9"))
    set_floor(tenant.payer, min_margin=Decimal("0.05"), action="deny")
    assert not is_denied(call(tenant, "b", 10, "9"))
    outcome = call(tenant, "c", 100, "120")
    assert isinstance(outcome, Denied)
    assert (outcome.level, outcome.level_id) == ("billing_entity", tenant.payer.public_id)
    remove_floor(tenant.payer)
    assert is_denied(call(tenant, "d", 10, "9"))
    with pytest.raises(NotFound):
        remove_floor(tenant.payer)


def test_what_came_while_there_was_no_floor_counts_when_there_is_one_again() -> None:
    tenant = floored(None)
    set_floor(tenant.payer, min_margin=Decimal("0.2"), action="deny")
    call(tenant, "a", 100, "80")
    remove_floor(tenant.payer)
    assert not is_denied(call(tenant, "b", 100, "150"))
    check_sums(tenant)
    set_floor(tenant.payer, min_margin=Decimal("0.2"), action="deny")
    assert is_denied(call(tenant, "c", 10, "8.01"))
    check_sums(tenant)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"min_margin": Decimal("1.01")}, "min_margin"),
        ({"min_margin": Decimal("-0.01")}, "min_margin"),
        ({"min_margin": Decimal(0), "min_volume": Decimal(-1)}, "min_volume"),
        ({"min_margin": Decimal(0), "action": "shout"}, "action"),
    ],
)
def test_a_floor_that_makes_no_sense_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        set_floor(floored(None).payer, **fields)
    assert caught.value.param == param


def test_base_fees_are_revenue_of_the_period_in_which_they_are_due() -> None:
    fee = {"key": "platform", "amount": "100", "timing": "in_advance"}
    version = make_version([ONE_EACH], base_fees=[fee], margin_floor=DENY)
    tenant = make_tenant(version, balance="10000")
    call(tenant, "a", 1, "1")
    book_base_fees(NOW)
    assert not is_denied(call(tenant, "b", 0, "70"))
    assert is_denied(call(tenant, "c", 0, "15"))
    check_sums(tenant)


def test_each_period_begins_anew_on_the_payers_clock() -> None:
    tenant = floored(time_zone="Asia/Kolkata")
    call(tenant, "a", 100, "100", Mode.REPORT)
    assert is_denied(call(tenant, "b", 1, "1"))
    ends = datetime(2026, 1, 31, 18, 30, tzinfo=UTC)
    clock.use(lambda: ends - timedelta(seconds=1))
    assert is_denied(call(tenant, "c", 60, "60"))
    clock.use(lambda: ends)
    assert not is_denied(call(tenant, "d", 49, "49"))
    assert is_denied(call(tenant, "e", 60, "60"))
    assert alerts(tenant) == ["below_floor", "below_floor"]
    starts = PeriodMargin.objects.order_by("starts_at").values_list("starts_at", flat=True)
    assert list(starts) == [datetime(2025, 12, 31, 23, 30, tzinfo=UTC), ends]
    check_sums(tenant)


def statements(tenant: Tenant, requests: list[Any]) -> int:
    with CaptureQueriesContext(connection) as captured:
        charge_many(requests)
    return len(captured.captured_queries)


def test_who_has_no_floor_reads_and_writes_nothing_for_it() -> None:
    tenant = floored(None)
    call(tenant, "warm", 1, "1")
    with CaptureQueriesContext(connection) as captured:
        call(tenant, "k", 1, "1")
    assert not [q for q in captured.captured_queries if "margin" in q["sql"] and "bucket" not in q["sql"]]
    assert not PeriodMargin.objects.exists()
