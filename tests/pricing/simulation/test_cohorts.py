"""Whom a simulation is about, and what a payer's history was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from accounts.scoping import OPERATOR, Viewer
from billing.subscriptions import change_subscription, pause_subscription, resume_subscription
from core import clock
from pricing.cycles import Period
from pricing.models import PlanVersion, Subscription
from pricing.periods import ensure_segments
from pricing.simulation import Cohort, payers_of
from pricing.simulation.changed import ChangedPeriod
from pricing.simulation.cohorts import in_chunks, payer_rows
from pricing.simulation.history import SubscriptionRow, Versions, own_jobs, read_subscriptions
from pricing.simulation.reading import PayerRow
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at
from tests.pricing.simulation.world import JANUARY, QUARTER, components

pytestmark = pytest.mark.django_db
in_april = standing_at(datetime(2026, 4, 10, tzinfo=UTC))


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version(components("per_unit"))


def ids(cohort: Cohort, window: Period = JANUARY, viewer: Viewer = OPERATOR) -> list[int]:
    return list(payers_of(cohort, window, viewer).values_list("pk", flat=True))


def history(tenant: Tenant, window: Period) -> tuple[PayerRow, Versions, list[SubscriptionRow]]:
    payer = PayerRow(tenant.payer.pk, tenant.customer.pk, "USD", ZoneInfo(tenant.payer.time_zone))
    versions = Versions()
    return payer, versions, read_subscriptions(OPERATOR, [payer], window, versions).get(payer.id, [])


def spans(tenant: Tenant, window: Period = QUARTER) -> list[tuple[str, str, bool]]:
    """Start, end and whether it opens a period, of all jobs of the tenant's own history."""
    payer, versions, rows = history(tenant, window)
    made = [job for row in rows for job in own_jobs(row, payer, window, versions)]
    jobs = [each for job in made for each in (job.jobs if isinstance(job, ChangedPeriod) else [job])]
    return [(f"{job.span.start:%m-%d}", f"{job.span.end:%m-%d}", job.opens) for job in jobs]


def test_all_are_those_with_a_subscription_in_the_window(version: PlanVersion) -> None:
    on = make_tenant(version)
    make_tenant()
    later = make_tenant(version, starts_at=JANUARY.end)
    ended = make_tenant(version)
    Subscription.objects.filter(billing_entity=ended.payer).update(ends_at=START + timedelta(days=3))
    assert ids(Cohort()) == [on.payer.pk, ended.payer.pk]
    assert ids(Cohort(), Period(START + timedelta(days=3), JANUARY.end)) == [on.payer.pk]
    assert ids(Cohort(), QUARTER) == [on.payer.pk, later.payer.pk, ended.payer.pk]


def test_a_plan_is_what_a_payer_was_on_then_or_is_on_now(version: PlanVersion) -> None:
    other = make_version(components("per_unit"))
    moved = make_tenant(version)
    assert moved.subscription is not None
    ensure_segments([(moved.subscription.pk, START)])
    moved.subscription.version = other
    moved.subscription.save()
    there = make_tenant(other)
    assert ids(Cohort(plan_id=version.plan_id)) == [moved.payer.pk]
    assert ids(Cohort(plan_id=other.plan_id)) == [moved.payer.pk, there.payer.pk]


def test_who_is_named_is_taken_with_or_without_a_subscription(version: PlanVersion) -> None:
    tenant, nobody = make_tenant(version), make_tenant()
    both = (tenant.payer.pk, nobody.payer.pk)
    assert ids(Cohort(payer_ids=both)) == list(both)
    assert ids(Cohort(customer_ids=(tenant.customer.pk, nobody.customer.pk))) == [tenant.payer.pk]
    assert ids(Cohort(payer_ids=both, plan_id=version.plan_id)) == [tenant.payer.pk]


def test_a_viewer_sees_its_own_payers_only(version: PlanVersion) -> None:
    mine, theirs = make_tenant(version), make_tenant(version)
    viewer = Viewer(False, frozenset({mine.customer.pk}))
    assert ids(Cohort(), viewer=viewer) == [mine.payer.pk]
    assert ids(Cohort(payer_ids=(theirs.payer.pk,)), viewer=viewer) == []
    assert ids(Cohort(), viewer=Viewer()) == []


def test_payers_come_page_by_page(version: PlanVersion) -> None:
    made = [make_tenant(version).payer.pk for _ in range(5)]
    payers = payers_of(Cohort(), JANUARY, OPERATOR)
    assert [[row.id for row in page] for page in in_chunks(payers, 2)] == [made[:2], made[2:4], made[4:]]
    assert payer_rows(payers, made[-1], 2) == []


def test_a_cohort_is_kept_and_read_back() -> None:
    for cohort in (Cohort(), Cohort((1, 2), (3,), 4)):
        assert Cohort.from_dict(cohort.as_dict()) == cohort


def test_without_segments_the_history_is_the_cycle(version: PlanVersion) -> None:
    tenant = make_tenant(version, starts_at=START + timedelta(days=9))
    assert spans(tenant) == [("01-10", "02-01", True), ("02-01", "03-01", True), ("03-01", "04-01", True)]


def test_changes_pauses_and_the_periods_that_were_made_are_the_history(version: PlanVersion) -> None:
    tenant = make_tenant(version)
    assert tenant.subscription is not None
    ensure_segments([(tenant.subscription.pk, START + timedelta(days=40))])
    middle = datetime(2026, 2, 15, tzinfo=UTC)
    change_subscription(tenant.subscription, version=make_version(components("package")), at=middle)
    clock.use(lambda: middle)
    pause_subscription(tenant.subscription, at=datetime(2026, 3, 11, tzinfo=UTC))
    resume_subscription(tenant.subscription, at=datetime(2026, 3, 21, tzinfo=UTC))
    assert spans(tenant) == [
        ("01-01", "02-01", True),
        ("02-01", "02-15", True),
        ("02-15", "03-01", True),
        ("03-01", "03-11", True),
        ("03-21", "04-01", True),
    ]


def test_a_fee_that_is_not_prorated_is_counted_once_in_a_period(version: PlanVersion) -> None:
    fees: list[dict[str, Any]] = [{"key": "f", "amount": "10", "prorate": False}]
    tenant = make_tenant(make_version([], base_fees=fees))
    assert tenant.subscription is not None
    other = make_version([], base_fees=[fees[0] | {"amount": "12"}])
    change_subscription(tenant.subscription, version=other, at=START + timedelta(days=10))
    payer, versions, (row,) = history(tenant, JANUARY)
    lines = [line for job in own_jobs(row, payer, JANUARY, versions) for line in job.lines()]
    assert [(line.key, line.amount) for line in lines] == [("f", Decimal(12))]


def test_a_subscription_that_never_began_is_no_history(version: PlanVersion) -> None:
    tenant = make_tenant(version)
    Subscription.objects.update(ends_at=START + timedelta(microseconds=1))
    assert history(tenant, Period(START - timedelta(days=1), JANUARY.end))[2] == []


def test_a_version_is_compiled_once(version: PlanVersion, django_assert_num_queries: Any) -> None:
    versions = Versions()
    assert versions.of([version.pk])[version.pk].label == version.public_id
    with django_assert_num_queries(0):
        versions.of([version.pk, version.pk])
