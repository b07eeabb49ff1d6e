"""Closes, reversals and late usage at the same time: each once, and nothing between them is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from billing.charging import Mode
from billing.closing import close_periods, verbs
from billing.closing.lines import period_lines
from billing.models import Charge, ClosingLine, Reversal
from billing.periods import book_base_fees
from billing.recompute import charges_of, is_proved, recompute_charges
from billing.reversals import rerate_charges, reverse_event
from core import clock
from core.errors import Conflict
from metering.models import UsageEvent
from pricing.models import BillingPeriod
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.concurrency.crowd import at_once

NOW = datetime(2026, 2, 3, tzinfo=UTC)
USED_AT = START + timedelta(days=3)
COMPONENT: dict[str, Any] = {"key": "c", "meter": "tokens", "model": "per_unit", "unit_price": "1"}


@pytest.fixture(autouse=True)
def _clock(transactional_db: None) -> Iterator[None]:
    clock.use(lambda: USED_AT)
    yield
    clock.use(None)


def tenants(number: int) -> list[Tenant]:
    """Payers with a minimum of 20, of which 8 are used."""
    make_meter()
    version = make_version([COMPONENT | {"minimum": "20"}], minimum_spend="25")
    made = [make_tenant(version, balance="1000") for _ in range(number)]
    for tenant in made:
        use(tenant, "a", 8)
    clock.use(lambda: NOW)
    book_base_fees(NOW)
    return made


def use(tenant: Tenant, key: str, tokens: int) -> None:
    at = USED_AT.isoformat()
    charge(tenant, key, Mode.REPORT, properties={"tokens": tokens}, occurred_at=at)


def test_workers_at_once_close_every_period_once() -> None:
    made = tenants(6)
    at_once([partial(close_periods, NOW)] * 4)
    closed = BillingPeriod.objects.filter(status="closed")
    assert closed.count() == 6
    lines = ClosingLine.objects.values_list("billing_entity_id", "kind", "amount")
    assert Counter(lines) == Counter(
        line
        for tenant in made
        for line in ((tenant.payer.pk, "minimum", 12), (tenant.payer.pk, "commitment", 5))
    )
    assert {balance(tenant) for tenant in made} == {Decimal(975)}


def test_a_worker_that_dies_between_payers_is_taken_over_from(monkeypatch: pytest.MonkeyPatch) -> None:
    made = tenants(4)
    real, done = period_lines, []

    def dies(periods: Sequence[BillingPeriod]) -> Any:
        done.append(periods)
        if len(done) > 2:
            raise KeyboardInterrupt
        return real(periods)

    with monkeypatch.context() as patched:
        patched.setattr(verbs, "PAYERS_AT_ONCE", 1)
        patched.setattr(verbs, "period_lines", dies)
        with pytest.raises(KeyboardInterrupt):
            close_periods(NOW)
    assert BillingPeriod.objects.filter(status="closed").count() == 2
    assert close_periods(NOW) == 2
    assert {balance(tenant) for tenant in made} == {Decimal(975)}


def test_usage_that_meets_the_close_is_in_time_or_late_and_costs_the_same() -> None:
    (tenant,) = tenants(1)
    works: list[Any] = [partial(use, tenant, f"k{number}", 3) for number in range(6)]
    at_once([*works, partial(close_periods, NOW)])
    spent = Decimal(26)  # 8 and six times 3: more than minimum and commitment ask for
    assert Charge.objects.count() == 7
    assert balance(tenant) == 1000 - spent


def test_an_event_is_reversed_once_by_many() -> None:
    (tenant,) = tenants(1)
    event = UsageEvent.objects.get()

    def attempt() -> str:
        try:
            return str(reverse_event(event, reason="r").amount.normalize())
        except Conflict as refused:
            return refused.code

    assert Counter(at_once([attempt] * 4)) == {"-8": 1, "already_reversed": 3}
    assert (balance(tenant), Reversal.objects.count()) == (1000, 1)


def test_reversals_and_re_ratings_at_once_leave_one_charge_of_each_event() -> None:
    (tenant,) = tenants(1)
    for number in range(4):
        use(tenant, f"k{number}", number)
    charges = list(Charge.objects.order_by("seq"))
    events = list(UsageEvent.objects.order_by("seq"))
    works: list[Any] = [partial(rerate_charges, tenant.payer, charges, NOW, "r") for _ in range(3)]
    works += [partial(reverse_event, event, reason="r") for event in events[:2]]
    at_once(works)
    assert balance(tenant) == 1000 - 6  # 1, 2 and 3 of the four: 8 and 0 are reversed
    for stored, again in recompute_charges(charges_of(tenant.customer.pk, tenant.payer.pk)):
        assert is_proved(stored, again)
