"""Usage ceilings in the charge path: what they refuse, and what they cost those who have none."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.charging import Charged, Denied, Mode, Outcome, charge_many
from billing.models import Denial
from billing.rollouts import Cohort, acknowledge_member, announce_rollout, draft_rollout, execute_rollouts
from pricing import pricelist
from pricing.models import Rollout, UsageCeiling
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version, request
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
INCLUDED_100 = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1", "included": "100"}
PRICED = INCLUDED_100 | {"included": "0"}
NOW = START + timedelta(days=9)
_clock = standing_at(NOW)


def moved(old: dict[str, Any], *new: dict[str, Any], **payer: Any) -> tuple[Tenant, Rollout]:
    """A payer whom a price change has just moved, and the change."""
    tenant = make_tenant(make_version([old]), balance="10000", **payer)
    assert tenant.subscription is not None
    cohort = Cohort(subscriptions=[tenant.subscription.pk])
    rollout = announce_rollout(
        draft_rollout(make_version(list(new)), timing="immediately", cohort=cohort), reason="a test"
    )
    assert execute_rollouts(NOW) == 1
    return tenant, rollout


def ask(tenant: Tenant, key: str, **properties: Any) -> Outcome:
    return charge(tenant, key, properties=properties)


def denied(outcome: Outcome) -> Denied:
    assert isinstance(outcome, Denied), outcome
    return outcome


def test_a_batch_obeys_it_one_after_the_other() -> None:
    make_meter()
    tenant, _ = moved(INCLUDED_100, PRICED)
    sizes = enumerate([60, 60, 40, 1])
    outcomes = charge_many(
        [request(tenant, f"k{number}", properties={"tokens": size}) for number, size in sizes]
    )
    assert [isinstance(outcome, Charged) for outcome in outcomes] == [True, False, True, False]
    assert (denied(outcomes[1]).used, denied(outcomes[3]).used) == (60, 100)
    assert (
        list(Denial.objects.order_by("id").values_list("reason", "level"))
        == [("entitlement", "subscription")] * 2
    )


def test_a_refusal_consumes_no_key_and_moves_no_counter() -> None:
    make_meter()
    tenant, rollout = moved(INCLUDED_100, PRICED)
    assert denied(ask(tenant, "k", tokens=101)).expected_amount == 101
    assert tenant.subscription is not None
    acknowledge_member(rollout, tenant.subscription)
    outcome = ask(tenant, "k", tokens=101)
    assert isinstance(outcome, Charged)
    assert (outcome.amount, outcome.lines[0]["position"]) == (101, {"from": "0", "to": "101"})


def test_a_report_goes_beyond_and_the_next_call_is_refused() -> None:
    make_meter()
    tenant, _ = moved(INCLUDED_100, PRICED)
    assert isinstance(charge(tenant, "r", Mode.REPORT, properties={"tokens": 130}), Charged)
    refusal = denied(ask(tenant, "k", tokens=1))
    assert (refusal.limit, refusal.used) == (100, 130)


def test_usage_that_is_taken_back_or_none_is_not_refused() -> None:
    make_meter()
    tenant, _ = moved(INCLUDED_100, PRICED)
    charge(tenant, "r", Mode.REPORT, properties={"tokens": 130})
    assert isinstance(ask(tenant, "zero", tokens=0), Charged)
    assert isinstance(ask(tenant, "back", tokens=-10), Charged)


def test_other_meters_and_other_payers_are_free() -> None:
    make_meter()
    make_meter("images")
    image = {"key": "img", "meter": "images", "model": "per_unit", "unit_price": "1"}
    tenant, _ = moved(INCLUDED_100, PRICED, image)
    other = make_tenant(make_version([PRICED]), balance="1000")
    assert isinstance(ask(tenant, "img", images=500), Charged)
    assert isinstance(ask(other, "tok", tokens=500), Charged)
    assert denied(ask(tenant, "both", tokens=101, images=1)).reason == "entitlement"


def test_of_a_component_with_groups_it_bounds_each_group() -> None:
    make_meter()
    tenant, _ = moved(INCLUDED_100, PRICED | {"group_by": ["model"]})
    assert isinstance(ask(tenant, "a", tokens=100, model="a"), Charged)
    assert isinstance(ask(tenant, "b", tokens=100, model="b"), Charged)
    assert denied(ask(tenant, "a2", tokens=1, model="a")).used == 100


def test_unique_values_that_were_seen_pass() -> None:
    make_meter("person", aggregation="unique")
    people = {"key": "seen", "meter": "person", "model": "per_unit", "unit_price": "1"}
    tenant, _ = moved(people | {"included": "2"}, people)
    for name in ("ann", "bob"):
        assert isinstance(ask(tenant, name, person=name), Charged)
    assert denied(ask(tenant, "cy", person="cy")).limit == 2
    assert isinstance(ask(tenant, "ann again", person="ann"), Charged)


def test_a_suspension_is_said_before_a_ceiling_and_a_ceiling_before_funds() -> None:
    make_meter()
    tenant, _ = moved(INCLUDED_100, PRICED, overdraft=Decimal(0))
    assert denied(ask(tenant, "k", tokens=20_000)).reason == "entitlement"
    tenant.payer.status = "suspended"
    tenant.payer.save()
    assert denied(ask(tenant, "k", tokens=20_000)).reason == "suspended"


def test_lifting_it_by_sql_is_seen_by_the_next_call() -> None:
    make_meter()
    tenant, _ = moved(INCLUDED_100, PRICED)
    assert isinstance(ask(tenant, "k", tokens=101), Denied)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE pricing_usageceiling SET lifted_at = created_at")
    assert isinstance(ask(tenant, "k", tokens=101), Charged)


def statements_of_a_cold_call(tenant: Tenant, key: str) -> list[str]:
    """The statements of a call whose prices have to be read first."""
    pricelist._payers.clear()
    with CaptureQueriesContext(connection) as captured:
        ask(tenant, key, tokens=1)
    return [query["sql"] for query in captured.captured_queries]


def test_who_has_no_ceiling_pays_no_statement_for_it() -> None:
    make_meter()
    free = make_tenant(make_version([PRICED]), balance="1000")
    bounded, rollout = moved(INCLUDED_100, PRICED)
    for tenant in (free, bounded):
        ask(tenant, "warm", tokens=1)
    without, within = statements_of_a_cold_call(free, "k"), statements_of_a_cold_call(bounded, "k")
    assert len(within) == len(without) + 1
    assert bounded.subscription is not None
    acknowledge_member(rollout, bounded.subscription)
    ask(bounded, "warm 2", tokens=1)
    assert len(statements_of_a_cold_call(bounded, "k2")) == len(without)
    assert UsageCeiling.objects.get().lifted_at == NOW


def test_a_warm_call_reads_nothing_of_ceilings() -> None:
    make_meter()
    tenant, _ = moved(INCLUDED_100, PRICED)
    ask(tenant, "warm", tokens=1)
    with CaptureQueriesContext(connection) as captured:
        ask(tenant, "k", tokens=1)
    assert not [query for query in captured.captured_queries if "usageceiling" in query["sql"]]
