"""One customer: overview, payers, workspaces, keys, grants, denials, audit."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.keys import issue_api_key, revoke_api_key
from accounts.models import (
    ApiKey,
    BillingEntity,
    Currency,
    Customer,
    Organization,
    PayerAssignment,
    Workspace,
)
from accounts.payers import change_billing_entity
from billing.charging import Mode, charge_many
from billing.models import CreditGrant
from billing.wallets import adjust, grant_credit
from core import clock
from core.audit import Source, audited
from pricing.models import PlanVersion
from tests.billing.pages.conftest import NOW, Sign
from tests.billing.pages.reading import page, read, rows
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
COST = [{"vendor": "openai", "amount": "0.5", "currency": "USD"}]


def url(tenant: Tenant, tab: str = "") -> str:
    return f"/customers/{tenant.customer.public_id}{tab}"


def test_the_overview_shows_balance_figures_and_latest_charges(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 300}, costs=COST)
    charge(acme, "b", Mode.REPORT, event="misspelt")
    text = read(staff, url(acme))
    assert f"{acme.customer.name} Active" in text
    assert "Wallet USD 18.00" in text
    assert "Events 2" in text
    assert "Revenue USD 2.00" in text
    assert "known of 50% of events" in text
    assert "Margin USD 1.50" in text
    assert "Margin of revenue 75.0%" in text
    assert "tokens sum of completion.tokens 300 1" in text
    assert "completion just now" in text


def test_an_external_id_leads_to_the_customer_too(staff: Client, acme: Tenant) -> None:
    assert acme.customer.name in read(staff, f"/customers/{acme.customer.external_id}")


@pytest.mark.parametrize("reference", ["cus_00000000", "nobody", "cus_%00", "be_00000001", "x" * 300])
def test_there_is_no_page_of_nobody(staff: Client, acme: Tenant, reference: str) -> None:
    for tab in (
        "",
        "/latest",
        "/charges",
        "/payers",
        "/workspaces",
        "/keys",
        "/grants",
        "/denials",
        "/audit",
    ):
        read(staff, f"/customers/{reference}{tab}", status=404)


def test_days_are_those_of_the_payers_clock(staff: Client, version: PlanVersion) -> None:
    tenant = make_tenant(version, time_zone="America/New_York")
    charge(tenant, "a", Mode.REPORT, properties={"tokens": 300}, occurred_at="2026-01-14T03:00:00Z")
    markup = page(staff, url(tenant, "?period=custom&start=2026-01-12&end=2026-01-14"))
    table = markup.split('id="revenue"')[1].split("<tbody>")[1].split("</tbody>")[0]
    assert [cell.split("</th>")[0] for cell in table.split('<th scope="row">')[1:]] == [
        "12 Jan",
        "13 Jan",
        "14 Jan",
    ]
    assert table.index("USD 2.00") < table.index("14 Jan")


def test_the_period_is_compared_with_the_one_before(staff: Client, acme: Tenant) -> None:
    december = {"occurred_at": "2025-12-14T12:00:00Z", "properties": {"tokens": 1}}
    charge(acme, "old", Mode.REPORT, **december)
    charge_many([request(acme, f"k{n}", Mode.REPORT, properties={"tokens": 1}) for n in range(3)])
    text = read(staff, url(acme))
    assert "Compared with 1 Dec 2025 to 15 Dec 2025" in text
    assert "Events 3 up 200.0%" in text


def test_payers_that_cannot_be_put_together_are_shown_one_by_one(staff: Client, acme: Tenant) -> None:
    yen = BillingEntity.objects.create(
        customer=acme.customer, name="Tokyo KK", currency="JPY", time_zone="Asia/Tokyo", created_at=START
    )
    text = read(staff, url(acme))
    assert "All payers" not in text
    assert "days of America/New_York" in text
    assert "JPY 0" in text
    assert "days of Asia/Tokyo" in read(staff, url(acme, f"?payer={yen.public_id}"))
    assert "days of America/New_York" in read(staff, url(acme, "?payer=be_00000000"))


def test_payers_that_are_alike_are_put_together(staff: Client, acme: Tenant) -> None:
    BillingEntity.objects.create(
        customer=acme.customer, name="Second", currency="USD", time_zone="America/New_York", created_at=START
    )
    assert "All payers" in read(staff, url(acme))


def test_more_event_names_than_colours_become_other(staff: Client, acme: Tenant) -> None:
    requests = [request(acme, f"k{n}", Mode.REPORT, event=f"name-{n}") for n in range(9)]
    charge_many(requests)
    markup = page(staff, url(acme))
    legend = markup.split('id="usage"')[1].split("</ul>")[0]
    assert legend.count("<li>") == 6
    assert "other" in legend


def test_days_below_cost_have_a_name_of_their_own(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 300}, costs=COST)
    assert "Below cost" not in read(staff, url(acme))
    charge(acme, "b", properties={"tokens": 100}, costs=[{"vendor": "v", "amount": "9", "currency": "USD"}])
    markup = page(staff, url(acme))
    table = markup.split('id="margin"')[1].split("</table>")[0]
    assert "Below cost" in table
    assert "USD -6.50" in table


def test_credits_are_shown_with_their_own_decimals(staff: Client) -> None:
    Currency.objects.create(
        code="CREDITS", name="c", decimals=0, price=Decimal(1), price_currency="USD", created_at=START
    )
    make_meter()
    version = make_version(
        [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "3"}], currency="CREDITS"
    )
    tenant = make_tenant(version, currency="CREDITS", balance="500")
    charge(tenant, "a", properties={"tokens": 7})
    text = read(staff, url(tenant))
    assert "CREDITS 479" in text
    assert "CREDITS 21" in text
    assert "479.00" not in text


def test_a_customer_without_a_payer_says_so(staff: Client) -> None:
    customer = Customer.objects.create(name="Empty", created_at=START)
    for tab in ("", "/payers"):
        assert "Nobody pays yet" in read(staff, f"/customers/{customer.public_id}{tab}")
    assert "No charges yet" in read(staff, f"/customers/{customer.public_id}/charges")
    assert "No workspaces yet" in read(staff, f"/customers/{customer.public_id}/workspaces")


def test_the_live_part_brings_balances_along(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 300})
    part = page(staff, url(acme, "/latest"), htmx="latest")
    assert part.lstrip().startswith('<div id="latest" data-live hx-get=')
    assert 'id="balances" aria-label="Balances" hx-swap-oob="true"' in part
    assert "18.00" in part


def test_payers_show_how_they_settle_and_their_subscription(staff: Client, version: PlanVersion) -> None:
    tenant = make_tenant(
        version, settlement="wallet_then_invoice", credit_limit=Decimal(50), balance="1", name="Acme <Inc>"
    )
    charge(tenant, "a", properties={"tokens": 400})
    text = read(staff, url(tenant, "/payers"))
    assert "Acme <Inc>" in text
    assert "Owed USD 2.00" in text
    assert "May be spent USD 48.00" in text
    assert "Wallet then invoice" in text
    assert f"{version.plan.name} v1 Active" in text


def test_workspaces_stand_in_their_tree_with_who_pays_since_when(staff: Client, acme: Tenant) -> None:
    own: dict[str, Any] = {"customer": acme.customer, "created_at": START}
    holding = Organization.objects.create(name="Holding", **own)
    division = Organization.objects.create(name="Division", parent=holding, **own)
    second = BillingEntity.objects.create(name="Second payer", currency="USD", **own)
    moved = Workspace.objects.create(name="Moved", organization=division, **own)
    at = NOW - timedelta(days=3)
    PayerAssignment.objects.create(workspace=moved, billing_entity=acme.payer, ends_at=at, **own)
    PayerAssignment.objects.create(
        workspace=moved, billing_entity=second, starts_at=at, ends_at=NOW + timedelta(days=1), **own
    )
    PayerAssignment.objects.create(
        workspace=moved, billing_entity=acme.payer, starts_at=NOW + timedelta(days=1), **own
    )
    Workspace.objects.create(name="Orphan", **own)
    text = read(staff, url(acme, "/workspaces"))
    assert text.index("Holding") < text.index("Division") < text.index("Moved") < text.index("Orphan")
    assert "Moved Second payer 12 Jan 2026, 12:00 UTC" in text
    assert f"{acme.payer.name} from 16 Jan 2026, 07:00 EST" in text
    assert f"{acme.payer.name} until 12 Jan 2026, 07:00 EST" in text
    assert "Orphan Nobody" in text


def test_keys_are_listed_without_their_secrets(staff: Client, acme: Tenant) -> None:
    # Neither l, o nor u is ever in a key or an id of ours, so a search for them finds people only.
    issued = issue_api_key(workspace=acme.workspace, name="backend", user="lou", expires_at=None)
    revoked = issue_api_key(workspace=acme.workspace, name="old", user=None).key
    revoke_api_key(revoked)
    ApiKey.objects.create(
        customer=acme.customer,
        workspace=acme.workspace,
        name="expired",
        kind="registered",
        fingerprint="a" * 64,
        created_at=START,
        expires_at=NOW,
    )
    found = {row["name"]: row for row in rows(staff, url(acme, "/keys?export=csv"))}
    assert {name: row["status"] for name, row in found.items()} == {
        "backend": "active",
        "old": "revoked",
        "expired": "expired",
    }
    assert issued.secret is not None
    assert issued.secret not in page(staff, url(acme, "/keys"))
    assert [row["name"] for row in rows(staff, url(acme, "/keys?export=csv&q=lou"))] == ["backend"]


def test_a_grant_leads_to_the_charges_that_consumed_it(staff: Client, acme: Tenant) -> None:
    grant = grant_credit(acme.payer, Decimal(1), name="Welcome", priority=1)
    charge(acme, "a", properties={"tokens": 150})
    charge(acme, "b", properties={"tokens": 20})
    text = read(staff, url(acme, "/grants"))
    assert "Welcome grt_" in text
    assert "USD 0.30" in text
    markup = page(staff, url(acme, f"/grants/{grant.public_id}"))
    assert markup.count('<a href="/charges/ch_') == 2
    moved = rows(staff, url(acme, f"/grants/{grant.public_id}?export=csv"))
    assert [(row["transfer_reason"], row["transfer_amount"]) for row in moved] == [
        ("usage", "0.2"),
        ("usage", "0.5"),
        ("grant", "1"),
    ]


def test_a_grant_says_what_became_of_it(staff: Client, version: PlanVersion) -> None:
    tenant = make_tenant(version)
    grant_credit(tenant.payer, Decimal(1), name="open", expires_at=NOW + timedelta(days=2))
    grant_credit(tenant.payer, Decimal(1), name="later", effective_at=NOW + timedelta(days=1))
    grant_credit(tenant.payer, Decimal(1), name="short", expires_at=NOW + timedelta(minutes=1))
    grant_credit(tenant.payer, Decimal("0.5"), name="used", priority=1)
    charge(tenant, "a", properties={"tokens": 150})
    clock.use(lambda: NOW + timedelta(hours=1))
    found = {row["title"]: row["status"] for row in rows(staff, url(tenant, "/grants?export=csv"))}
    assert found == {"open": "open", "later": "scheduled", "short": "expired", "used": "used"}


def test_a_grant_of_another_customer_is_not_found(staff: Client, acme: Tenant, version: PlanVersion) -> None:
    other = grant_credit(make_tenant(version).payer, Decimal(1))
    for public_id in (other.public_id, "grt_00000000", "x"):
        read(staff, url(acme, f"/grants/{public_id}"), status=404)


def test_denials_and_overspend_are_listed_apart(staff: Client, acme: Tenant) -> None:
    charge(acme, "a", properties={"tokens": 100_000})
    charge(acme, "b", Mode.REPORT, properties={"tokens": 5000})
    text = read(staff, url(acme, "/denials"))
    assert "Insufficient funds" in text
    assert "Reported USD 9.50" in text
    (denial,) = rows(staff, url(acme, "/denials?d-export=csv"))
    assert (denial["denial_event"], denial["denial_expected_amount"]) == ("completion", "504.5")
    (below,) = rows(staff, url(acme, "/denials?o-export=csv"))
    assert below["overspend_amount"] == "9.5"
    assert rows(staff, url(acme, "/denials?d-export=csv&d-reason=suspended")) == []


def test_the_audit_shows_who_changed_what_and_only_of_this_customer(
    staff: Client, acme: Tenant, version: PlanVersion
) -> None:
    make_tenant(version, name="Somebody else")
    with audited(Source.UI, "mara@operator.example"):
        change_billing_entity(acme.payer, status="suspended", overdraft=Decimal(5))
    text = read(staff, url(acme, "/audit"))
    assert "Payer changed: status active \u2192 suspended, overdraft 0 \u2192 5" in text
    assert "mara@operator.example, in the browser" in text
    assert "Somebody else" not in text


def test_read_only_staff_do_not_see_the_audit(sign_in: Sign, acme: Tenant) -> None:
    assert "Not for your role" in read(sign_in("read_only"), url(acme, "/audit"))


def test_an_adjustment_that_took_from_a_grant_is_in_its_list(staff: Client, acme: Tenant) -> None:
    adjust(acme.payer, Decimal(-3), reason="a correction")
    grant = CreditGrant.objects.get()
    (taken, _) = rows(staff, url(acme, f"/grants/{grant.public_id}?export=csv"))
    assert (taken["transfer_reason"], taken["charge"], taken["transfer_amount"]) == ("adjustment", "", "3")


def test_a_period_long_ago_is_empty_but_drawn(staff: Client, acme: Tenant) -> None:
    text = read(staff, url(acme, "?period=custom&start=2020-02-01&end=2020-02-29"))
    assert text.count("There are no figures in this period.") == 4
    assert datetime(2020, 2, 29, tzinfo=UTC).strftime("%-d %b %Y") in text


def test_a_period_that_is_too_long_is_cut_and_says_so(staff: Client, acme: Tenant) -> None:
    text = read(staff, url(acme, "?period=custom&start=2010-01-01&end=2026-01-15"))
    assert "A period has at most 731 days" in text
