"""A wallet at its floor while many draw on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db.models import Sum

from billing.models import Charge, Denial, Overspend
from billing.wallets import adjust, top_up
from metering.models import IdempotencyKey
from pricing.models import PlanVersion
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version
from tests.concurrency.callers import Api, call
from tests.concurrency.crowd import at_once, deal

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
CALLS, CLIENTS = 1000, 64


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN])


def test_a_balance_for_exactly_100_calls_pays_for_exactly_100(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    assert _send(api, tenant) == {201: 100, 402: 900}
    assert balance(tenant) == 0
    assert Charge.objects.count() == IdempotencyKey.objects.count() == 100
    assert Denial.objects.count() == 900
    assert not Overspend.objects.exists()


def test_a_bounded_overdraft_is_used_to_its_end_and_no_further(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="0.50", overdraft=Decimal("0.25"))
    assert _send(api, tenant, calls=200, clients=32) == {201: 75, 402: 125}
    assert balance(tenant) == Decimal("-0.25")
    assert not Overspend.objects.exists()


def test_a_credit_limit_is_used_to_its_end_and_no_further(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(
        version, balance="0.10", settlement="wallet_then_invoice", credit_limit=Decimal("0.40")
    )
    assert _send(api, tenant, calls=120, clients=24) == {201: 50, 402: 70}
    assert (balance(tenant), balance(tenant, "receivable")) == (0, Decimal("-0.40"))


def test_a_wallet_that_may_run_negative_pays_for_all_and_says_so(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="1")
    assert _send(api, tenant) == {201: CALLS}
    assert balance(tenant) == -9
    assert Overspend.objects.aggregate(total=Sum("amount")) == {"total": 9}
    assert set(Overspend.objects.values_list("cause", flat=True)) == {"overdraft"}


def test_reports_pass_the_floor_while_charges_stop_at_it(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="0.20", overdraft=Decimal(0))
    charges = [partial(api.charge, call(tenant, f"c{number}")) for number in range(20)]
    reports = [partial(api.report, [call(tenant, f"r{number}")]) for number in range(20)]
    statuses = Counter(answer.status_code for answer in at_once([*charges, *reports]))
    assert statuses[200] == 20
    assert balance(tenant) == Decimal("0.20") - Decimal("0.01") * (20 + statuses[201])
    assert balance(tenant) <= 0
    overspent = Overspend.objects.aggregate(total=Sum("amount"))["total"] or Decimal(0)
    assert overspent == -balance(tenant)


def test_money_put_in_and_taken_out_meanwhile_is_counted(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    drawing = [partial(api.charge, call(tenant, f"c{number}")) for number in range(40)]
    filling = [partial(top_up, tenant.payer, Decimal("0.05"))] * 10
    taking = [partial(adjust, tenant.payer, Decimal("-0.02"), reason="Counted twice")] * 10
    works: list[Callable[[], Any]] = [*drawing, *filling, *taking]
    statuses = Counter(answer.status_code for answer in at_once(works)[:40])
    assert balance(tenant) == Decimal("1.30") - Decimal("0.01") * statuses[201]
    assert balance(tenant, "adjustments") == Decimal("0.20")


def _send(api: Api, tenant: Tenant, calls: int = CALLS, clients: int = CLIENTS) -> Counter[int]:
    """Charge one token under each of so many keys, by so many clients at once; answers by status."""

    def run(keys: list[str]) -> Counter[int]:
        return Counter(api.charge(call(tenant, key)).status_code for key in keys)

    hands = deal([f"key-{number}" for number in range(calls)], clients)
    return sum(at_once([partial(run, keys) for keys in hands]), Counter())
