"""Entitlements and denials of Tollgate itself, as the client reads them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.client.test_charging import PER_TOKEN, name
from tollgate_client import Client, Denied

QUOTA = {"feature": "tokens_a_month", "type": "metered", "meter": "tokens", "limit": "10"}


@pytest.fixture
def entitled(db: None) -> Tenant:
    """A tenant that may use ten tokens a month."""
    make_meter()
    return make_tenant(make_version([PER_TOKEN], entitlements=[QUOTA]), balance="100")


def use(client: Client, of: Tenant, tokens: int) -> None:
    client.charge("completion", workspace=name(of), properties={"tokens": tokens})


def test_a_quota_is_shown_and_refuses_what_goes_beyond(in_process: Client, entitled: Tenant) -> None:
    use(in_process, entitled, 7)
    with pytest.raises(Denied) as raised:
        use(in_process, entitled, 4)
    denied = raised.value
    assert (denied.reason, denied.level_id) == ("entitlement", "tokens_a_month")
    assert (denied.limit, denied.used) == (Decimal(10), Decimal(7))
    quota = in_process.entitlements(name(entitled))["tokens_a_month"]
    assert (quota.type, quota.limit, quota.used, quota.remaining) == (
        "metered",
        Decimal(10),
        Decimal(7),
        Decimal(3),
    )
    assert quota.resets_at == denied.resets_at
    assert quota.resets_at is not None
