"""Two who change one subscription at the same time, through the API: one after the other, both whole, and
whoever comes second changes what the first one left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from accounts.models import BillingEntity
from billing.charging import Charged
from billing.models import BookedFee
from billing.replay import replay_differences
from billing.rollouts import Cohort, announce_rollout, draft_rollout, execute_rollouts
from billing.subscriptions import start_subscription
from core import clock
from core.sql import driver
from pricing.models import RolloutMember, Segment, Subscription, SubscriptionChange
from tests.api_client import Api
from tests.billing.invariants import broken_invariants
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.concurrency.crowd import at_once

NOW = datetime(2026, 1, 11, tzinfo=UTC)


def fee(amount: str) -> dict[str, Any]:
    return {"key": "platform", "amount": amount, "prorate": True}


def price(amount: str) -> dict[str, Any]:
    return {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": amount}


@pytest.fixture(autouse=True)
def _clock(transactional_db: None) -> Iterator[None]:
    ticks = iter(range(1, 1_000_000))
    clock.use(lambda: NOW + timedelta(milliseconds=next(ticks)))
    yield
    clock.use(None)


def started(balance: str = "1000") -> tuple[Tenant, Subscription]:
    """A payer on the first version since New Year, with three units used."""
    make_meter()
    tenant = make_tenant(balance=balance)
    version = make_version([price("1")], base_fees=[fee("31")])
    subscription = start_subscription(tenant.payer, version, starts_at=NOW - timedelta(days=10))
    charge(tenant, "before", properties={"tokens": 3})
    return tenant, subscription


def check(tenant: Tenant, subscription: Subscription) -> None:
    """The books agree, and the segments follow each other."""
    assert broken_invariants(driver()) == []
    assert replay_differences(BillingEntity.objects.get(pk=tenant.payer.pk)) == []
    segments = list(Segment.objects.filter(subscription=subscription).order_by("starts_at"))
    for before, after in pairwise(segments):
        assert before.ends_at == after.starts_at


def post(api: Api, subscription: Subscription, verb: str, body: dict[str, Any], **headers: str) -> Any:
    return api.post(f"/v1/subscriptions/{subscription.public_id}/{verb}", body, **headers)


def test_two_versions_at_once_follow_each_other(transactional_db: None) -> None:
    tenant, subscription = started()
    versions = [make_version([price(p)], base_fees=[fee(f)]) for p, f in (("2", "62"), ("3", "93"))]
    apis = [Api(), Api()]
    bodies = [{"plan_version": version.public_id} for version in versions]
    works: list[Callable[[], Any]] = [
        partial(post, api, subscription, "change", body) for api, body in zip(apis, bodies, strict=True)
    ]
    answers = at_once(works)
    assert [answer.status_code for answer in answers] == [200, 200]
    changes = list(
        SubscriptionChange.objects.filter(subscription=subscription, action="change").order_by("at")
    )
    assert len(changes) == 2
    subscription.refresh_from_db()
    assert subscription.version_id == changes[-1].version_id
    check(tenant, subscription)
    # 10 days of 31, then 21 days of the last one; what was between is milliseconds.
    last = next(version for version in versions if version.pk == changes[-1].version_id)
    whole = 10 + 21 * (2 if last == versions[0] else 3)
    booked = sum(BookedFee.objects.values_list("amount", flat=True), Decimal(0))
    assert abs(Decimal(booked) - whole) < 1
    assert balance(tenant) == 1000 - 3 - booked


@pytest.mark.parametrize("verb", ["change", "pause", "cancel"])
def test_who_comes_second_with_a_clock_behind_changes_what_the_first_one_left(verb: str) -> None:
    tenant, subscription = started()
    first, second = (make_version([price(p)], base_fees=[fee("62")]) for p in ("2", "3"))
    api = Api()
    clock.use(lambda: NOW + timedelta(milliseconds=5))
    assert post(api, subscription, "change", {"plan_version": first.public_id}).status_code == 200
    clock.use(lambda: NOW)
    body = {"plan_version": second.public_id} if verb == "change" else {}
    assert post(api, subscription, verb, body).status_code == 200
    subscription.refresh_from_db()
    *_, before, last = subscription.changes.order_by("at", "pk")
    assert (before.version, last.action, last.status) == (first, verb, "applied")
    assert last.at == before.at + timedelta(microseconds=1)
    assert subscription.version == (second if verb == "change" else first)
    assert subscription.status == {"change": "active", "pause": "paused", "cancel": "canceled"}[verb]
    clock.use(lambda: NOW + timedelta(seconds=1))
    charged = charge(tenant, "after", properties={"tokens": 1})
    assert isinstance(charged, Charged) is (verb == "change")
    check(tenant, subscription)


def test_one_request_sent_twice_at_once_is_one_change(transactional_db: None) -> None:
    tenant, subscription = started()
    api, body = Api(), {"plan_version": make_version([price("2")], base_fees=[fee("62")]).public_id}
    answers = at_once(
        [partial(post, api, subscription, "change", body, **{"Idempotency-Key": "k"}) for _ in range(4)]
    )
    done = [answer for answer in answers if answer.status_code == 200]
    assert done
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({str(answer.json()) for answer in done}) == 1
    assert SubscriptionChange.objects.filter(action="change").count() == 1
    check(tenant, subscription)


@pytest.mark.parametrize("other", ["pause", "cancel", "quantities"])
def test_a_version_beside_another_verb(transactional_db: None, other: str) -> None:
    tenant, subscription = started()
    body = {"plan_version": make_version([price("2")], base_fees=[fee("62")]).public_id}
    second: tuple[str, dict[str, Any]] = (other, {})
    if other == "quantities":
        second = ("change", {"plan_version": body["plan_version"], "at": "period_end"})
    works: list[Callable[[], Any]] = [
        partial(post, Api(), subscription, "change", body),
        partial(post, Api(), subscription, *second),
        partial(charge, tenant, "during", properties={"tokens": 1}),
    ]
    answers = at_once(works)
    assert {answer.status_code for answer in answers[:2]} <= {200, 409}
    check(tenant, subscription)


def test_a_price_change_and_the_customers_own_upgrade_meet(transactional_db: None) -> None:
    tenant, subscription = started()
    new = make_version([price("2")], base_fees=[fee("62")])
    own = make_version([price("5")], base_fees=[fee("155")])
    cohort = Cohort(subscriptions=[subscription.pk])
    announce_rollout(draft_rollout(new, timing="immediately", cohort=cohort), reason="a test")
    works: list[Callable[[], Any]] = [
        partial(post, Api(), subscription, "change", {"plan_version": own.public_id}),
        lambda: execute_rollouts(clock.now()),
    ]
    at_once(works)
    execute_rollouts(clock.now())
    member = RolloutMember.objects.get()
    subscription.refresh_from_db()
    assert subscription.version_id == own.pk, "who upgrades keeps the upgrade, before or after the move"
    assert member.state in (RolloutMember.State.MOVED, RolloutMember.State.LEFT)
    moves = SubscriptionChange.objects.filter(version=new, action="change").count()
    assert moves == (member.state == RolloutMember.State.MOVED)
    check(tenant, subscription)
