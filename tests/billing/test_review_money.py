"""Money at the edges of the path: given back, priced later, and what a caller may send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from accounts.credentials import authenticate_key
from accounts.integration_keys import issue_integration_key, revoke_integration_key
from accounts.models import BillingEntity, PayerAssignment
from billing.charging import Charged, Failed, Mode, charge_many, deciding, path
from billing.charging.planning import Planned
from billing.charging.reading import Known
from billing.models import CreditGrant
from billing.periods import book_fees_of
from billing.rerating import rerate_events
from billing.wallets import grant_credit, top_up
from core import clock
from core.sql import driver
from metering.models import CostRate
from pricing.models import BillingPeriod, PlanVersion, Subscription
from tests.billing.invariants import broken_invariants
from tests.billing.world import START, Tenant, balance, charge, make_meter, make_tenant, make_version, request
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
VOLUME = {
    "key": "tok",
    "meter": "tokens",
    "model": "volume",
    "tiers": [{"up_to": "100", "unit_price": "0.1"}, {"up_to": None, "unit_price": "0.01"}],
}
COST_PLUS = {"key": "markup", "meter": "calls", "model": "cost_plus", "markup": "0.5"}
_january = standing_at(NOW)


def subscribe(tenant: Tenant, version: PlanVersion) -> None:
    Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=tenant.payer,
        version=version,
        starts_at=START,
        anchor_at=START,
        created_at=NOW,
    )


def test_what_a_top_up_covered_comes_back_into_its_grant() -> None:
    make_meter()
    tenant = make_tenant(make_version([VOLUME]), balance="1")
    charge(tenant, "a", properties={"tokens": 100})
    top_up(tenant.payer, Decimal(20))
    assert balance(tenant) == 11
    charge(tenant, "b", properties={"tokens": 1})
    assert balance(tenant) == Decimal("19.99")
    remaining = sum(grant.remaining for grant in CreditGrant.objects.all())
    assert remaining == Decimal("19.99")
    top_up(tenant.payer, Decimal(1))
    assert balance(tenant) == Decimal("20.99")
    assert broken_invariants(driver()) == []


def test_value_given_back_to_a_grant_that_expires_in_the_same_moment_is_breakage() -> None:
    make_meter()
    tenant = make_tenant(make_version([VOLUME]))
    grant_credit(tenant.payer, Decimal(12), expires_at=NOW + timedelta(hours=1))
    charge(tenant, "a", properties={"tokens": 100})
    clock.use(lambda: NOW + timedelta(hours=2))
    charge(tenant, "b", properties={"tokens": 1})
    assert (balance(tenant), balance(tenant, "breakage")) == (0, Decimal("10.99"))
    assert CreditGrant.objects.get().remaining == 0
    assert broken_invariants(driver()) == []


def test_a_line_charged_already_is_not_charged_again_when_the_other_gets_its_price() -> None:
    make_meter()
    make_meter("calls", aggregation="count")
    tenant = make_tenant(make_version([PER_TOKEN, COST_PLUS]), balance="10")
    first = charge(tenant, "a", Mode.REPORT, properties={"tokens": 100})
    assert isinstance(first, Charged)
    assert (first.amount, first.unpriced) == (1, True)
    CostRate.objects.create(
        vendor="v", event="completion", unit_cost=Decimal(2), currency="USD", starts_at=START, created_at=NOW
    )
    done = rerate_events(tenant.payer)
    assert done.amount == 3
    assert balance(tenant) == 6


def test_a_reported_event_with_a_line_that_has_no_price_may_give_value_back() -> None:
    make_meter()
    make_meter("calls", aggregation="count")
    tenant = make_tenant(make_version([COST_PLUS, VOLUME]), balance="20")
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 100})
    outcome = charge(tenant, "b", Mode.REPORT, properties={"tokens": 1})
    assert isinstance(outcome, Charged)
    assert balance(tenant) == Decimal("18.99")


def test_unique_values_seen_before_there_was_a_price_are_charged_when_it_comes() -> None:
    make_meter("users", aggregation="unique", property_path="user")
    tenant = make_tenant(None, balance="10")
    for key, user in (("a", "ann"), ("b", "bob"), ("c", "ann")):
        charge(tenant, key, Mode.REPORT, properties={"user": user})
    subscribe(tenant, make_version([{"key": "u", "meter": "users", "model": "per_unit", "unit_price": "1"}]))
    assert rerate_events(tenant.payer).amount == 2
    assert balance(tenant) == 8


@pytest.mark.parametrize("instant", ["9999-12-31T23:59:59Z", "2031-05-01T00:00:00Z"])
def test_an_instant_far_ahead_is_refused_and_opens_no_period(instant: str) -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="10")
    charge(tenant, "now", properties={"tokens": 1})
    good, bad = charge_many(
        [
            request(tenant, "a", properties={"tokens": 1}),
            request(tenant, "b", properties={"tokens": 1}, occurred_at=instant),
        ]
    )
    assert isinstance(good, Charged)
    assert isinstance(bad, Failed)
    assert bad.error.code == "in_future"
    assert BillingPeriod.objects.count() == 1


def test_a_group_too_long_to_be_kept_is_the_events_own_error() -> None:
    make_meter(group_by=["model"])
    tenant = make_tenant(make_version([{**PER_TOKEN, "group_by": ["model"]}]), balance="10")
    long = Random(1).randbytes(4000).hex()
    good, bad = charge_many(
        [
            request(tenant, "a", properties={"tokens": 1, "model": "m"}),
            request(tenant, "b", properties={"tokens": 1, "model": long}),
        ]
    )
    assert isinstance(good, Charged)
    assert isinstance(bad, Failed)
    assert bad.error.status == 400


def test_a_workspace_may_be_named_otherwise_by_the_same_key_in_one_batch() -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="10")
    both: list[Any] = [tenant.workspace.external_id, tenant.workspace.public_id]
    first, second = charge_many(
        [request(tenant, "a", properties={"tokens": 1}, workspace=name) for name in both]
    )
    assert isinstance(first, Charged)
    assert isinstance(second, Charged)
    assert second.is_replay


def test_a_retry_after_a_change_of_payer_gets_the_first_answer_though_it_names_the_payer() -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="10")
    first = charge(tenant, "a", properties={"tokens": 1}, billing_entity=tenant.payer.external_id)
    other = BillingEntity.objects.create(
        customer=tenant.customer, name="Other", currency="USD", created_at=START
    )
    PayerAssignment.objects.update(billing_entity=other)
    again = charge(tenant, "a", properties={"tokens": 1}, billing_entity=tenant.payer.public_id, user="ann")
    assert isinstance(first, Charged)
    assert isinstance(again, Charged)
    assert (again.is_replay, again.id) == (True, first.id)


def test_one_item_that_nobody_foresaw_sinks_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="10")
    rate = deciding.rate_item

    def rate_item(item: Planned, known: Known) -> deciding.RatedItem:
        if item.request.event.idempotency_key == "b":
            raise ZeroDivisionError
        return rate(item, known)

    monkeypatch.setattr(deciding, "rate_item", rate_item)
    monkeypatch.setattr(path, "book_straight", lambda *_: None)  # the long way, which asks it
    first, second, third = charge_many([request(tenant, key, properties={"tokens": 1}) for key in "abc"])
    assert isinstance(first, Charged)
    assert isinstance(second, Failed)
    assert second.error.status == 500
    assert isinstance(third, Charged)
    assert balance(tenant) == Decimal("9.98")


def test_a_revoked_integration_key_learns_not_even_an_earlier_answer() -> None:
    make_meter()
    tenant = make_tenant(make_version([PER_TOKEN]), balance="10")
    issued = issue_integration_key(name="Gateway", scopes=["charges:write"])
    call = request(tenant, "a", properties={"tokens": 1})
    call.credential = authenticate_key(issued.secret)
    assert isinstance(charge_many([call])[0], Charged)
    revoke_integration_key(issued.key)
    (outcome,) = charge_many([call])
    assert isinstance(outcome, Failed)
    assert outcome.error.status == 401


def test_fees_are_paid_as_the_payer_settles_now_not_as_it_did_when_it_was_read() -> None:
    make_meter()
    fee = {"key": "platform", "amount": "5", "timing": "in_advance", "prorate": False}
    tenant = make_tenant(make_version([PER_TOKEN], base_fees=[fee]), balance="10")
    charge(tenant, "a", properties={"tokens": 1})
    BillingEntity.objects.filter(pk=tenant.payer.pk).update(settlement="invoice_only")
    assert book_fees_of([tenant.payer], NOW) == 1
    assert (balance(tenant), balance(tenant, "receivable")) == (Decimal("9.99"), -5)


def test_subscriptions_with_components_of_one_key_give_back_each_their_own() -> None:
    make_meter()
    make_meter("calls", aggregation="count")
    tiers = [{"up_to": "1", "unit_price": "1"}, {"up_to": None, "unit_price": "0.1"}]
    volume = {"key": "tok", "model": "volume", "tiers": tiers}
    tenant = make_tenant(make_version([{**volume, "meter": "tokens"}]), balance="1")
    subscribe(tenant, make_version([{**volume, "meter": "calls"}]))
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 1})
    top_up(tenant.payer, Decimal(10))
    charge(tenant, "b", Mode.REPORT, properties={"tokens": 1})
    charge(tenant, "c", Mode.REPORT, properties={})
    top_up(tenant.payer, Decimal(10))
    assert broken_invariants(driver()) == []
