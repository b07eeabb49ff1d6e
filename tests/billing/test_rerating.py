"""What nothing priced when it came is charged later, by choice and once; so is what waited in quarantine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.keys import register_fingerprint
from accounts.secrets import fingerprint
from billing.charging import Charged, ChargeRequest, Mode, Quarantined, charge_many
from billing.models import Charge, MarginBucket
from billing.quarantine import release_quarantined
from billing.rerating import rerate_events
from metering.events import parse_event
from metering.models import QuarantinedEvent, UsageBucket, UsageEvent
from pricing.models import Subscription
from tests.billing.world import Tenant, balance, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
_january = standing_at(NOW)


def subscribe(tenant: Tenant) -> None:
    make_meter()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=tenant.payer,
        version=make_version([PER_TOKEN]),
        starts_at=start,
        anchor_at=start,
        created_at=NOW,
    )


def test_unheard_events_are_charged_once_when_a_meter_and_a_price_come() -> None:
    tenant = make_tenant(None, balance="10")
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 100})
    charge(tenant, "b", Mode.REPORT, properties={"tokens": 50})
    assert MarginBucket.objects.get().unmatched == 2
    subscribe(tenant)
    first = rerate_events(tenant.payer)
    assert (first.looked_at, first.charged, first.amount) == (2, 2, Decimal("1.5"))
    assert balance(tenant) == Decimal("8.5")
    bucket = MarginBucket.objects.get()
    assert (bucket.events, bucket.unmatched, bucket.revenue) == (2, 0, Decimal("1.5"))
    assert UsageBucket.objects.get().quantity == 150
    events = list(UsageEvent.objects.order_by("seq"))
    assert [charge.event_id for charge in Charge.objects.order_by("seq")] == [event.id for event in events]
    again = rerate_events(tenant.payer)
    assert (again.looked_at, again.charged) == (0, 0)
    assert balance(tenant) == Decimal("8.5")


def test_a_rerated_event_continues_the_tiers_where_the_counter_stands() -> None:
    tenant = make_tenant(None, balance="10")
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 100})
    subscribe(tenant)
    charge(tenant, "b", properties={"tokens": 20})
    rerate_events(tenant.payer)
    latest = Charge.objects.order_by("-seq").first()
    assert latest is not None
    assert latest.lines[0]["position"] == {"from": "20", "to": "120"}


def test_an_unknown_keys_events_wait_and_charge_once_when_released() -> None:
    tenant = make_tenant(None, balance="10")
    subscribe(tenant)
    mark = fingerprint("the operators own key")
    raw = {
        "idempotency_key": "k",
        "event": "completion",
        "api_key": mark,
        "properties": {"tokens": 100},
        "occurred_at": (NOW - timedelta(days=1)).isoformat(),
    }
    request = ChargeRequest(parse_event(raw, NOW), Mode.REPORT)
    assert [type(outcome) for outcome in charge_many([request, request])] == [Quarantined, Quarantined]
    row = QuarantinedEvent.objects.get()
    refused = release_quarantined([row.pk], by="staff")
    assert refused.refused.keys() == {row.pk}
    register_fingerprint(workspace=tenant.workspace, name="theirs", fingerprint=mark)
    released = release_quarantined([row.pk], by="staff")
    assert [one.pk for one in released.released] == [row.pk]
    assert balance(tenant) == 9
    assert not release_quarantined([row.pk], by="staff").released
    (late,) = charge_many([ChargeRequest(parse_event(raw, NOW), Mode.REPORT)])
    assert isinstance(late, Charged)
    assert late.is_replay
    assert balance(tenant) == 9
