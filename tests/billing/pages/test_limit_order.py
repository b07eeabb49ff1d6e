"""The fullest limits first: the database's figure is the one that is shown, whatever the window."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.keys import issue_api_key
from accounts.models import BillingEntity, Organization, PayerAssignment, Workspace
from accounts.scoping import OPERATOR
from billing.authorizations import authorization_request
from billing.charging import Mode, charge_many
from billing.limits.verbs import create_limit, end_limit, owner_of
from billing.models import SpendLimit
from billing.reports.limits import describe_limits, standing_limits, with_fill
from core import clock
from metering.models import Meter
from tests.billing.pages.conftest import NOW, now_is
from tests.billing.pages.reading import page, read, rows
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
D = Decimal
PER_TOKEN = [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}]
ZONES = ["UTC", "America/Havana", "America/Sao_Paulo", "Asia/Kolkata", "Pacific/Apia"]


def spend(tenant: Tenant, key: str, cents: int, **fields: Any) -> None:
    """A call that costs so many cents, at this instant."""
    charge(tenant, key, Mode.REPORT, properties={"tokens": cents}, **fields)


def shown(now: datetime) -> dict[int, Decimal]:
    """How full each standing limit is as pages show it; one of nothing is full."""
    found = describe_limits({}, now, list(standing_limits(OPERATOR)))
    return {row.limit.pk: D(1) if row.filled is None else row.filled for row in found}


def ordered(now: datetime) -> dict[int, Decimal]:
    """The same by the database, the fullest first."""
    rows: Any = with_fill(standing_limits(OPERATOR), now)
    return dict(rows.order_by("-filled", "pk").values_list("pk", "filled"))


def check(now: datetime) -> dict[int, Decimal]:
    """Both say the same, up to the digits that the database divides to."""
    by_page, by_database = shown(now), ordered(now)
    assert by_page.keys() == by_database.keys()
    for pk, filled in by_page.items():
        assert abs(filled - by_database[pk]) < D("1e-15"), SpendLimit.objects.get(pk=pk).window
    assert list(by_database.values()) == sorted(by_database.values(), reverse=True)
    return by_page


def bound_everything(tenant: Tenant) -> None:
    """A limit of each window at each level of a tenant."""
    customer, space = tenant.customer, tenant.workspace
    tree = Organization.objects.create(customer=customer, name="All", created_at=START)
    Workspace.objects.filter(pk=space.pk).update(organization=tree)
    space.refresh_from_db()
    key = issue_api_key(workspace=space, name="ci").key
    owners = [
        owner_of(billing_entity=tenant.payer),
        owner_of(workspace=space),
        owner_of(organization=tree),
        owner_of(api_key=key),
    ]
    of_meter = owner_of(billing_entity=tenant.payer, meter=Meter.objects.get(key="tokens"))
    windows: list[dict[str, Any]] = [
        *({"window": "billing_period"}, {"window": "day"}),
        *({"window": "rolling", "hours": 1}, {"window": "rolling", "hours": 36}),
    ]
    for number, window in enumerate(windows, 3):
        for at, owner in enumerate(owners):
            create_limit(owner, D(number * 7 + at), kind="soft", **window)
        create_limit(of_meter, D(number), kind="soft", **window)
    create_limit(owners[0], D(0))


@pytest.mark.parametrize("zone", ZONES)
def test_the_databases_figure_is_the_one_that_is_shown_through_every_window(zone: str) -> None:
    make_meter()
    tenant = make_tenant(make_version(PER_TOKEN), balance="500", time_zone=zone)
    now_is(START)
    bound_everything(tenant)
    fills = set()
    for hours in (0, 1, 5, 23, 30, 47, 24 * 9, 24 * 30, 24 * 31 + 2, 24 * 59, 24 * 75):
        now = START + timedelta(hours=hours, minutes=17)
        now_is(now)
        check(now)
        spend(tenant, f"call {hours}", 130 + hours)
        fills |= set(check(now).values())
    assert len(fills) > 60


def test_windows_follow_clocks_that_strike_midnight_twice_or_never() -> None:
    make_meter()
    tenant = make_tenant(make_version(PER_TOKEN), balance="500", time_zone="America/Havana")
    now_is(datetime(2026, 3, 7, tzinfo=UTC))
    bound_everything(tenant)
    for at in (
        *(datetime(2026, 3, 8, 4, 59, tzinfo=UTC), datetime(2026, 3, 8, 5, 1, tzinfo=UTC)),
        *(datetime(2026, 11, 1, 3, 59, tzinfo=UTC), datetime(2026, 11, 1, 4, 30, tzinfo=UTC)),
        *(datetime(2026, 11, 1, 5, 30, tzinfo=UTC), datetime(2026, 11, 2, 5, 30, tzinfo=UTC)),
    ):
        now_is(at)
        check(at)
        spend(tenant, str(at), 200)
        check(at)


def test_holds_count_until_they_are_over(acme: Tenant) -> None:
    create_limit(owner_of(workspace=acme.workspace), D(10))
    body = {"idempotency_key": "h", "workspace": acme.workspace.external_id, "amount": "4"}
    charge_many([authorization_request(body, clock.now())])
    assert list(check(NOW).values()) == [D("0.4")]
    assert list(check(NOW + timedelta(days=1)).values()) == [D(0)]


def test_without_a_subscription_or_a_payer_it_is_the_month(acme: Tenant) -> None:
    own: dict[str, Any] = {"customer": acme.customer, "created_at": NOW}
    alone = Workspace.objects.create(name="Alone", **own)
    create_limit(owner_of(workspace=alone), D(3), currency="USD", time_zone="Asia/Kolkata")
    yen = BillingEntity.objects.create(name="KK", currency="JPY", time_zone="Asia/Tokyo", **own)
    space = Workspace.objects.create(name="Tokyo", **own)
    PayerAssignment.objects.create(workspace=space, billing_entity=yen, **own)
    create_limit(owner_of(workspace=space), D(5), currency="JPY")
    create_limit(owner_of(billing_entity=yen), D(7), currency="JPY")
    assert list(check(NOW).values()) == [D(0)] * 3


def test_who_moves_to_another_payer_has_that_payers_periods(acme: Tenant) -> None:
    create_limit(owner_of(workspace=acme.workspace), D(10))
    charge(acme, "a", properties={"tokens": 500})
    assert list(check(NOW).values()) == [D("0.4")]
    other = BillingEntity.objects.create(
        customer=acme.customer, name="Other", currency="USD", time_zone="Asia/Tokyo", created_at=NOW
    )
    PayerAssignment.objects.filter(workspace=acme.workspace).update(billing_entity=other)
    check(NOW)


@pytest.fixture
def three(acme: Tenant) -> list[str]:
    """The names of payers whose limits are at 20 %, 95 % and 80 %, as they came."""
    names = []
    for number, amount in enumerate(("20", "4.21", "5")):
        version = acme.subscription.version if acme.subscription else None
        tenant = acme if number == 0 else make_tenant(version, balance="20")
        create_limit(owner_of(billing_entity=tenant.payer), D(amount))
        charge(tenant, f"k{number}", properties={"tokens": 500})
        names.append(tenant.payer.name)
    return names


def names_of(client: Client, query: str) -> list[str]:
    return [row["name"] for row in rows(client, f"/spend-limits?export=csv{query}")]


def test_the_list_is_sorted_either_way_and_newest_first_unless_asked(staff: Client, three: list[str]) -> None:
    low, full, high = three
    assert names_of(staff, "") == [high, full, low]
    assert names_of(staff, "&sort=-filled") == [full, high, low]
    assert names_of(staff, "&sort=filled") == [low, high, full]
    assert names_of(staff, "&sort=limit_created_at") == [low, full, high]
    assert names_of(staff, "&sort=nonsense") == [high, full, low]
    markup = page(staff, "/spend-limits?sort=-filled")
    assert 'aria-sort="descending"' in markup
    assert markup.index(full) < markup.index(high) < markup.index(low)
    assert "3 rows" in read(staff, "/spend-limits?sort=-filled")


def test_it_is_narrowed_to_those_that_are_nearly_or_wholly_full(staff: Client, three: list[str]) -> None:
    low, full, high = three
    assert names_of(staff, "&full=0.8&sort=-filled") == [full, high]
    assert names_of(staff, "&full=0.8&level=workspace") == []
    assert names_of(staff, "&full=1") == []
    none = create_limit(owner_of(workspace=Workspace.objects.earliest("pk")), D(0))
    assert len(names_of(staff, "&full=1")) == 1
    end_limit(none)
    assert names_of(staff, "&full=1") == []
    assert names_of(staff, "&full=x") == [high, full, low]
    assert "Nothing matches" in read(staff, "/spend-limits?full=1")


def test_a_sorted_list_is_paged_by_the_database(staff: Client, acme: Tenant) -> None:
    version = acme.subscription.version if acme.subscription else None
    expected = []
    for number in range(55):
        tenant = make_tenant(version, balance="20")
        create_limit(owner_of(billing_entity=tenant.payer), D(1000 - number))
        charge(tenant, f"k{number}", properties={"tokens": 200})
        expected.append(tenant.payer.name)
    assert names_of(staff, "&sort=-filled") == expected[::-1]
    for place, names in (("1", expected[5:]), ("2", expected[:5])):
        with CaptureQueriesContext(connection) as captured:
            markup = page(staff, f"/spend-limits?sort=-filled&page={place}")
        asked = [one["sql"] for one in captured if "LIMIT 50" in one["sql"] or "LIMIT 5 " in one["sql"]]
        assert any("ORDER BY" in one and "billing_limitcounter" in one for one in asked)
        assert all(name in markup for name in names)
        assert markup.count('role="rowheader"') == len(names)
