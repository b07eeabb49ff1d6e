"""What tests of reversals and re-ratings say in a few words."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from billing.charging import Charged, Mode, Outcome
from billing.models import Charge
from billing.recompute import charges_of, is_proved, recompute_charges
from billing.reversals import reverse_event
from core import clock
from core.sql import driver
from metering.models import UsageEvent
from pricing.models import Segment, Subscription
from tests.billing.invariants import broken_invariants
from tests.billing.world import Tenant, charge, make_version


def use(tenant: Tenant, key: str, **properties: Any) -> Charged:
    """A charge of these properties."""
    outcome: Outcome = charge(tenant, key, Mode.REPORT, properties=properties)
    assert isinstance(outcome, Charged)
    return outcome


def event(key: str) -> UsageEvent:
    return UsageEvent.objects.get(idempotency_key=key)


def reverse(key: str) -> Decimal:
    """What reversing the event of that key came to."""
    amount: Decimal = reverse_event(event(key), reason="Sent by mistake").amount
    return amount


def check(tenant: Tenant) -> None:
    """All books agree, and every charge and reversal is proved."""
    broken = broken_invariants(driver())
    assert broken == [], broken
    for stored, again in recompute_charges(charges_of(tenant.customer.pk, tenant.payer.pk)):
        assert is_proved(stored, again), (stored.lines, again)


def subscribe(tenant: Tenant, starts_at: datetime, unit_price: str = "1") -> Subscription:
    """A subscription to tokens at a price."""
    components = [{"key": "c", "meter": "tokens", "model": "per_unit", "unit_price": unit_price}]
    return Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=tenant.payer,
        version=make_version(components),
        starts_at=starts_at,
        anchor_at=starts_at,
        created_at=clock.now(),
    )


def move(tenant: Tenant, at: datetime, unit_price: str) -> None:
    """End the payer's subscription at an instant that is past, and go on at another price."""
    Segment.objects.filter(subscription__billing_entity=tenant.payer).update(ends_at=at)
    Subscription.objects.filter(billing_entity=tenant.payer).update(ends_at=at)
    subscribe(tenant, at, unit_price)


def all_charges(tenant: Tenant) -> list[Charge]:
    return list(Charge.objects.filter(billing_entity_id=tenant.payer.pk).order_by("seq"))
