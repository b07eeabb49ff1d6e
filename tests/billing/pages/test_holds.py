"""Live holds: what is reserved now, by currency, and each hold until it is over."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.scoping import OPERATOR
from accounts.users import add_member, create_user
from billing.authorizations import authorization_request, void
from billing.charging import charge_many
from billing.models import Authorization
from billing.reports.holds import held_sums, live_holds
from core import clock
from tests.billing.pages.conftest import NOW, now_is, signed
from tests.billing.pages.reading import page, read, rows
from tests.billing.world import Tenant

pytestmark = pytest.mark.django_db
D = Decimal


def hold(tenant: Tenant, key: str, seconds: int, **fields: Any) -> Authorization:
    """Hold what 500 tokens cost (4.00: the first 100 are included), or what `fields` say."""
    body = {
        "idempotency_key": key,
        "event": "completion",
        "workspace": tenant.workspace.external_id,
        "expires_in": seconds,
    }
    expected = fields or {"properties": {"tokens": 500}}
    charge_many([authorization_request(body | expected, clock.now())])
    return Authorization.objects.get(customer_id=tenant.customer.pk, idempotency_key=key)


def statuses(client: Client) -> list[str]:
    """What all holds are now, in words."""
    return sorted(row["status"] for row in rows(client, "/holds?all=1&export=csv"))


def test_what_is_held_now_stands_with_its_sum(staff: Client, acme: Tenant) -> None:
    hold(acme, "a", 60)
    hold(acme, "b", 600, amount="3.25")
    text = read(staff, "/holds")
    assert "Held now USD 7.25 2 live" in text
    assert f"{acme.customer.name} {acme.payer.name} completion Authorization Authorized USD 3.25" in text
    body = {"idempotency_key": "c", "workspace": acme.workspace.external_id, "amount": "1"}
    charge_many([authorization_request(body, clock.now())])
    assert f"{acme.payer.name} Any event Authorization Authorized USD 1.00" in read(staff, "/holds")
    Authorization.objects.filter(idempotency_key="c").update(expires_at=NOW)
    found = rows(staff, "/holds?export=csv")
    assert sorted(row["hold_held"] for row in found) == ["3.25", "4"]
    assert held_sums(live_holds(OPERATOR, NOW)) == [("USD", 2, D("7.25"))]


def test_an_expired_hold_is_over_even_if_nobody_has_written_it_down(staff: Client, acme: Tenant) -> None:
    hold(acme, "a", 60)
    kept = hold(acme, "b", 600, amount="3.25")
    now_is(NOW + timedelta(seconds=60))
    assert "Held now USD 3.25 1 live" in read(staff, "/holds")
    assert "Expired" in read(staff, "/holds?all=1")
    assert statuses(staff) == ["authorized", "expired"]
    void(kept)
    text = read(staff, "/holds")
    assert "Nothing is held" in text
    assert "Held now" not in text
    assert statuses(staff) == ["expired", "voided"]


def test_the_choice_of_all_is_kept_by_the_filter(staff: Client, acme: Tenant) -> None:
    hold(acme, "a", 60)
    assert '<input type="hidden" name="all" value="1">' in page(staff, "/holds?all=1")
    assert rows(staff, "/holds?kind=lease&all=1&export=csv") == []


def test_a_member_finds_no_holds_of_all(acme: Tenant) -> None:
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    page(signed(user), "/holds", 404)
