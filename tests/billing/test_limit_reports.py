"""How limits and alerts are called and how full they are, as pages show them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from accounts.models import ApiKey, Organization
from accounts.scoping import OPERATOR, Viewer
from billing.limits.verbs import create_limit, owner_of
from billing.models import Alert
from billing.reports.limits import describe_alerts, describe_limits, standing_limits
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}]
D = Decimal
_january = standing_at(NOW)


@pytest.fixture
def tenant() -> Tenant:
    """A customer with 50 at one cent a token."""
    make_meter(name="Tokens")
    return make_tenant(make_version(PER_TOKEN), balance="50")


def test_a_limit_is_called_by_whose_spend_it_bounds(tenant: Tenant) -> None:
    customer, payer, space = tenant.customer, tenant.payer, tenant.workspace
    division = Organization.objects.create(customer=customer, name="Sales", created_at=NOW)
    key = ApiKey.objects.create(
        customer=customer, workspace=space, name="Robot", fingerprint="5e" * 32, created_at=NOW
    )
    meter = make_meter("calls", aggregation="count", name="Calls")
    create_limit(owner_of(billing_entity=payer), D(10))
    create_limit(owner_of(billing_entity=payer, meter=meter), D(10))
    create_limit(owner_of(organization=division), D(10), window="day")
    create_limit(owner_of(workspace=space), D(10), window="rolling", hours=36)
    create_limit(owner_of(api_key=key), D(10))
    rows = describe_limits({}, NOW, list(standing_limits(OPERATOR).order_by("pk")))
    assert [(row.name, row.level, row.window) for row in rows] == [
        (payer.name, "Payer", "each billing period"),
        (f"Calls of {payer.name}", "Meter", "each billing period"),
        ("Sales", "Organization", "each day"),
        (space.name, "Workspace", "any 36 hours"),
        ("Robot", "API key", "each billing period"),
    ]


def test_how_full_it_is_counts_what_is_used(tenant: Tenant) -> None:
    create_limit(owner_of(workspace=tenant.workspace), D(4))
    nothing = create_limit(owner_of(billing_entity=tenant.payer), D(0), kind="soft")
    charge(tenant, "a", properties={"tokens": 100})
    found = {row.limit.pk: row for row in describe_limits({}, NOW, list(standing_limits(OPERATOR)))}
    assert found.pop(nothing.pk).filled is None, "a limit of nothing has no part that is used"
    (row,) = found.values()
    assert (row.filled, row.fill.used, row.unit) == (D("0.25"), D(1), "USD")


def test_a_viewer_sees_the_limits_of_its_customers_only(tenant: Tenant) -> None:
    create_limit(owner_of(billing_entity=tenant.payer), D(10))
    create_limit(owner_of(billing_entity=make_tenant(None).payer), D(10))
    own = standing_limits(Viewer(False, frozenset({tenant.customer.pk})))
    assert [row.customer for row in own] == [tenant.customer]
    assert standing_limits(OPERATOR).count() == 2


def test_an_alert_is_called_by_its_limit_or_by_its_level(tenant: Tenant) -> None:
    limit = create_limit(owner_of(workspace=tenant.workspace), D(2), thresholds=[50])
    charge(tenant, "a", properties={"tokens": 150})
    low = Alert.objects.create(
        kind=Alert.Kind.LOW_BALANCE,
        key="low/1",
        customer_id=tenant.customer.pk,
        billing_entity_id=tenant.payer.pk,
        level="billing_entity",
        level_id=tenant.payer.public_id,
        threshold=D(5),
        used=D("4.99"),
        currency="USD",
        fired_at=NOW,
    )
    crossed, second = describe_alerts(OPERATOR, {}, {}, list(Alert.objects.order_by("pk")))
    assert (crossed.alert.limit_id, crossed.name, crossed.level) == (
        *(limit.pk, tenant.workspace.name),
        "Workspace, each billing period",
    )
    assert (second.alert, second.name, second.level, second.unit) == (
        *(low, tenant.payer.public_id),
        *("Payer", "USD"),
    )
