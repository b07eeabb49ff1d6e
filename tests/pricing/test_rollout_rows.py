"""What the database holds of price changes, whoever writes to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction

from billing.models import MakeWholeCredit, OutboxMessage
from pricing.models import Rollout, RolloutMember, UsageCeiling
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
State, Status = RolloutMember.State, Rollout.Status
LATER = START + timedelta(days=40)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}


@pytest.fixture
def tenant() -> Tenant:
    make_meter()
    return make_tenant(
        make_version([{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}])
    )


def make_rollout(**fields: Any) -> Rollout:
    defaults = {
        "version": None if fields.get("rollback_of") else make_version([]),
        "timing": "on_date",
        "created_at": START,
        "status": Status.ANNOUNCED,
        "effective_at": LATER,
        "notice_at": START,
        "announced_at": START,
    }
    return Rollout.objects.create(**(defaults | fields))


def make_member(tenant: Tenant, rollout: Rollout | None = None, **fields: Any) -> RolloutMember:
    rollout = rollout or make_rollout()
    assert tenant.subscription is not None
    return RolloutMember.objects.create(
        rollout=rollout,
        customer=tenant.customer,
        billing_entity=tenant.payer,
        subscription=tenant.subscription,
        from_version=tenant.subscription.version,
        to_version=rollout.version or tenant.subscription.version,
        effective_at=LATER,
        **fields,
    )


def refused(work: Callable[[], Any]) -> str:
    """The message of the database that refuses it."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        work()
    return str(caught.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("timing", "at_renewal"),
        ("effective_at", LATER + timedelta(days=1)),
        ("notice_at", LATER),
        ("cohort", {"plans": ["x"]}),
        ("announced_at", LATER),
        ("version", "another"),
    ],
)
def test_what_was_announced_never_changes(column: str, value: Any) -> None:
    rollout = make_rollout()
    value = make_version([]) if value == "another" else value
    assert "announced_terms" in refused(lambda: Rollout.objects.update(**{column: value}))
    rollout.refresh_from_db()
    assert rollout.timing == "on_date"


def test_a_draft_may_change_and_go() -> None:
    rollout = make_rollout(status=Status.DRAFT, announced_at=None)
    Rollout.objects.update(timing="at_renewal")
    rollout.delete()
    assert not Rollout.objects.exists()


def test_an_announced_one_is_kept_and_never_a_draft_again() -> None:
    rollout = make_rollout()
    assert "announced_kept" in refused(rollout.delete)
    assert "announced_stays" in refused(lambda: Rollout.objects.update(status=Status.DRAFT))


@pytest.mark.parametrize("status", [Status.DONE, Status.CANCELED])
def test_what_is_over_is_over(status: str) -> None:
    make_rollout(status=status)
    assert "announced_stays" in refused(lambda: Rollout.objects.update(status=Status.RUNNING))


def test_an_announced_one_has_its_instants() -> None:
    with pytest.raises(IntegrityError, match="announced_rollout_has_instants"):
        make_rollout(notice_at=None)


def test_a_version_or_an_original_but_not_both() -> None:
    original = make_rollout()
    says = "rollout_has_version_or_original"
    assert says in refused(lambda: make_rollout(rollback_of=original, version=make_version([])))
    assert says in refused(lambda: make_rollout(version=None))


def test_one_rollback_at_a_time() -> None:
    original = make_rollout()
    first = make_rollout(rollback_of=original)
    assert "one_rollback_per_rollout" in refused(lambda: make_rollout(rollback_of=original))
    Rollout.objects.filter(pk=first.pk).update(status=Status.CANCELED)
    assert make_rollout(rollback_of=original).rollback_of == original


@pytest.mark.parametrize(
    ("fields", "waits"),
    [
        ({"state": State.PENDING}, True),
        ({"state": State.NOTIFIED}, True),
        ({"state": State.ACKNOWLEDGED}, True),
        ({"state": State.FAILED}, True),
        ({"state": State.HELD_OUT, "held_until": LATER}, True),
        ({"state": State.HELD_OUT}, False),
        ({"state": State.EXCEPTED}, False),
        ({"state": State.LEFT}, False),
        ({"state": State.CANCELED}, False),
        ({"state": State.MOVED, "moved_at": LATER}, False),
    ],
)
def test_a_subscription_waits_for_one_price_change(
    tenant: Tenant, fields: dict[str, Any], waits: bool
) -> None:
    make_member(tenant, **fields)
    if waits:
        assert "one_price_change_at_a_time" in refused(lambda: make_member(tenant))
    else:
        assert make_member(tenant).state == State.PENDING


def test_a_subscription_is_in_a_rollout_once(tenant: Tenant) -> None:
    member = make_member(tenant, state=State.EXCEPTED)
    assert "one_member_per_subscription" in refused(lambda: make_member(tenant, member.rollout))


def test_what_has_moved_has_moved_once(tenant: Tenant) -> None:
    member = make_member(tenant, state=State.MOVED, moved_at=LATER)
    rows = RolloutMember.objects.filter(pk=member.pk)
    assert "moved_once" in refused(lambda: rows.update(moved_at=LATER + timedelta(days=1)))
    assert "moved_stays" in refused(lambda: rows.update(state=State.PENDING))
    assert "member_kept" in refused(member.delete)
    rows.update(state=State.ROLLED_BACK, rolled_back_at=LATER)
    assert "moved_stays" in refused(lambda: rows.update(state=State.CANCELED))


def test_moved_goes_with_its_instant(tenant: Tenant) -> None:
    assert "moved_has_instant" in refused(lambda: make_member(tenant, state=State.MOVED))
    assert "moved_has_instant" in refused(lambda: make_member(tenant, moved_at=LATER))


def test_a_meter_has_one_standing_ceiling(tenant: Tenant) -> None:
    member = make_member(tenant)
    assert tenant.subscription is not None
    meter = make_meter("other")

    def ceiling(**fields: Any) -> UsageCeiling:
        return UsageCeiling.objects.create(
            customer=tenant.customer,
            subscription=member.subscription,
            version=member.to_version,
            meter=meter,
            member=member,
            reason="chosen",
            created_at=START,
            **({"limit": Decimal(5)} | fields),
        )

    first = ceiling()
    assert "one_ceiling_per_meter" in refused(ceiling)
    first.lifted_at = LATER
    first.save()
    assert ceiling().limit == 5
    assert "ceiling_not_negative" in refused(lambda: ceiling(limit=Decimal(-1), lifted_at=LATER))


def test_a_message_is_written_once_and_only_delivered() -> None:
    fields = {"kind": "k", "key": "k/1", "customer_id": 1, "payload": {}, "created_at": START}
    message = OutboxMessage.objects.create(**fields)
    assert "key" in refused(lambda: OutboxMessage.objects.create(**fields))
    assert "message_stays" in refused(lambda: OutboxMessage.objects.update(payload={"a": 1}))
    assert "message_kept" in refused(message.delete)
    OutboxMessage.objects.update(delivered_at=LATER)


def test_a_difference_is_what_it_says_and_stays() -> None:
    def credit(**fields: Any) -> MakeWholeCredit:
        amounts = {"old_amount": 3, "new_amount": 5, "amount": 2, "to_wallet": 2}
        ids = {"customer_id": 1, "billing_entity_id": 1, "rollout_id": 1, "subscription_id": 1, "seq": 1}
        when = {"until": START, "created_at": START, "created_by": ""}
        return MakeWholeCredit.objects.create(**(amounts | ids | when | fields))

    for wrong in (
        {"amount": 3, "to_wallet": 0},
        {"to_wallet": 3},
        {"old_amount": 5, "amount": 0, "to_wallet": 0},
    ):
        assert "made_whole_is_the_difference" in refused(lambda wrong=wrong: credit(**wrong))  # type: ignore[misc]
    given = credit()
    assert "made_whole_once" in refused(credit)
    assert "append_only" in refused(lambda: MakeWholeCredit.objects.update(amount=1, new_amount=4))
    assert "append_only" in refused(given.delete)


def test_sql_is_refused_as_well(tenant: Tenant) -> None:
    member = make_member(tenant, state=State.MOVED, moved_at=LATER)

    def run() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM pricing_rolloutmember WHERE id = %s", [member.pk])

    assert "member_kept" in refused(run)
