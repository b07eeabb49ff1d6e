"""`/charges/<id>` and the lists of charges: how an amount came about, who paid, what vendors took."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client

from accounts.keys import issue_api_key
from billing.charging import Charged, Mode, charge_many
from billing.models import Charge
from billing.recompute import Rerated
from billing.rerating import rerate_events
from billing.views import charges
from billing.wallets import grant_credit
from core import clock
from core.ids import hot_id
from metering.models import UsageEvent
from pricing.models import PlanVersion, Subscription
from tests.billing.pages.conftest import NOW
from tests.billing.pages.reading import page, read, rows
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
COST = [{"vendor": "openai", "amount": "0.5", "currency": "USD"}]


def charged(tenant: Tenant, key: str, mode: Mode = Mode.ASK, **fields: object) -> str:
    """Charge an event; the address of its page."""
    outcome = charge(tenant, key, mode, **fields)
    assert isinstance(outcome, Charged), outcome
    return f"/charges/{hot_id('ch', outcome.customer_id, outcome.id)}"


def test_a_charge_explains_its_amount_step_by_step(staff: Client, acme: Tenant) -> None:
    charged(acme, "a", properties={"tokens": 1000})
    text = read(staff, charged(acme, "b", properties={"tokens": 200}, costs=COST, user="ada@acme.example"))
    assert "USD 1.50 for completion" in text  # 100 units of tier 1 are left, then 100 of tier 2
    assert "200 took the quantity of the period from 1,000 to 1,200" in text
    free = "not counting free ones"
    assert f"Tier 1 after unit 900 up to unit 1,000, {free} 100 USD 0.01 USD 0.01 USD 1.00" in text
    assert f"Tier 2 after unit 1,000 up to unit 1,100, {free} 100 USD 0.005 USD 0.005 USD 0.50" in text
    assert "All tiers, counted after 100 free units" in text
    assert "openai known from the event USD 0.50" in text
    assert "Margin USD 1.00 66.7% of the amount" in text
    assert "ada@acme.example" in text
    assert "Idempotency key b" in text
    assert "15 Jan 2026, 07:00:00 EST" in text
    assert '"tokens": 200' in text


def test_free_units_cost_nothing_and_are_named(staff: Client, acme: Tenant) -> None:
    text = read(staff, charged(acme, "a", properties={"tokens": 60}))
    assert "Free units 60 USD 0.00" in text
    assert "Nothing was to be paid." in text


def test_every_grant_that_paid_is_named_and_leads_back(staff: Client, acme: Tenant) -> None:
    grant = grant_credit(acme.payer, Decimal(1), name="Welcome <b>", priority=10)
    address = charged(acme, "a", properties={"tokens": 400})
    text, markup = read(staff, address), page(staff, address)
    assert "Welcome <b> for tok, promotional grant" in text
    assert "USD 1.00" in text
    assert f"/customers/{acme.customer.public_id}/grants/{grant.public_id}" in markup
    assert "2 transfers" in text
    assert "wallet revenue usage USD 2.00" in text


def test_what_no_grant_covers_accrues(staff: Client, version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="1", settlement="wallet_then_invoice")
    text = read(staff, charged(tenant, "a", properties={"tokens": 400}))
    assert "Receivable for tok, accrued, to be invoiced USD 2.00" in text


def test_overspend_is_stated_with_its_cause(staff: Client, acme: Tenant) -> None:
    text = read(staff, charged(acme, "a", Mode.REPORT, properties={"tokens": 5000}))
    assert "Overspend. USD 9.50 of this charge lies below the floor" in text
    assert "reported after the fact" in text


def test_an_unknown_cost_is_no_cost_of_0(staff: Client, acme: Tenant) -> None:
    text = read(staff, charged(acme, "a", properties={"tokens": 200}))
    assert "Vendor cost \u2013 no value not known" in text
    assert "It counts as unknown, never as 0" in text
    assert "Nothing: the caller said so." in read(
        staff, charged(acme, "b", properties={"tokens": 200}, costs=[])
    )


def test_a_cost_without_an_exchange_rate_is_not_comparable(staff: Client, version: PlanVersion) -> None:
    dinars = make_version(
        [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.0005"}], currency="KWD"
    )
    tenant = make_tenant(dinars, currency="KWD", balance="5")
    text = read(staff, charged(tenant, "a", properties={"tokens": 1}, costs=COST))
    assert "KWD 0.0005 for completion" in text
    assert "Not comparable." in text
    assert "USD 0.50" in text
    assert "KWD 5.000" in text


def test_an_event_that_several_components_price_has_a_panel_for_each(staff: Client) -> None:
    make_meter()
    make_meter("calls", aggregation="count")
    version = make_version(
        [
            {
                "key": "tok",
                "meter": "tokens",
                "model": "per_unit",
                "unit_price": "0.01",
                "group_by": ["size"],
            },
            {"key": "fee", "meter": "calls", "model": "package", "package_size": "10", "package_price": "1"},
        ]
    )
    tenant = make_tenant(version, balance="10")
    charged(tenant, "a", properties={"tokens": 1})
    text = read(staff, charged(tenant, "b", properties={"tokens": 1, "size": "<i>"}))
    assert "One price for every unit · tokens for size <i>" in text
    assert "the package was begun, and paid, before" in text


def test_a_key_and_a_lag_are_shown(staff: Client, acme: Tenant) -> None:
    key = issue_api_key(workspace=acme.workspace, name="backend", user=None).key
    at = NOW - timedelta(hours=50)
    address = charged(
        acme,
        "a",
        Mode.REPORT,
        workspace=None,
        api_key=key.public_id,
        occurred_at=at.isoformat(),
        properties={"tokens": 200},
    )
    text = read(staff, address)
    assert "API key backend" in text
    assert "2 d 2 h after the call, by api" in text


def test_a_charge_that_was_made_later_says_so(staff: Client, acme: Tenant) -> None:
    Subscription.objects.filter(pk=acme.subscription.pk).update(starts_at=NOW)  # type: ignore[union-attr]
    charge(
        acme, "a", Mode.REPORT, properties={"tokens": 200}, occurred_at=(NOW - timedelta(days=1)).isoformat()
    )
    Subscription.objects.filter(pk=acme.subscription.pk).update(starts_at=START)  # type: ignore[union-attr]
    clock.use(lambda: NOW + timedelta(hours=1))
    assert rerate_events(acme.payer).charged == 1
    text = read(staff, f"/charges/{Charge.objects.get().public_id}")
    assert "Charged later, by choice." in text
    event = UsageEvent.objects.get()
    assert f"/charges/{Charge.objects.get().public_id}" in page(staff, f"/events/{event.public_id}")


@pytest.mark.parametrize(
    "public_id",
    ["ch_1", "ch_", "evt_1", "x", "ch_" + "z" * 26, "ch_1" + "0" * 26, "ch_1" + "7" * 26, "ch_%00", "ch_ü"],
)
def test_there_is_no_page_of_an_id_that_names_nothing(staff: Client, public_id: str) -> None:
    read(staff, f"/charges/{public_id}", status=404)
    read(staff, f"/events/{public_id.replace('ch_', 'evt_')}", status=404)


def test_charges_of_one_batch_are_listed_in_the_payers_order(staff: Client, acme: Tenant) -> None:
    charge_many([request(acme, f"k{n}", properties={"tokens": 101}) for n in range(5)])
    address = f"/customers/{acme.customer.public_id}/charges?export=csv"
    found = rows(staff, address)
    assert [row["charge_settled_after"] for row in found] == ["15.95", "16.96", "17.97", "18.98", "19.99"]
    assert {row["event_idempotency_key"] for row in found} == {f"k{n}" for n in range(5)}
    assert found[0]["charge_amount"] == "1.01"
    assert found[0]["charge_amount_currency"] == "USD"
    assert found[0]["lag"] == "0.0"


def test_charges_page_on_by_keyset_without_loss(staff: Client, acme: Tenant) -> None:
    charge_many([request(acme, f"k{n}", Mode.REPORT, properties={"tokens": 1}) for n in range(60)])
    base = f"/customers/{acme.customer.public_id}/charges"
    for address in (base, "/charges"):
        first = page(staff, address)
        assert first.count('class="row-link"') == 50
        onward = first.split('id="charges-older" href="')[1].split('"')[0]
        second = page(staff, address + onward.replace("&amp;", "&"))
        assert second.count('class="row-link"') == 10
        seen = {line.split('"')[0] for text in (first, second) for line in text.split('row-link" href="')[1:]}
        assert len(seen) == 60
        back = second.split('id="charges-newer" href="')[1].split('"')[0]
        assert page(staff, address + back.replace("&amp;", "&")).count('class="row-link"') == 50


def test_the_charges_of_everyone_are_listed_by_time_and_by_customer(
    staff: Client, acme: Tenant, version: PlanVersion
) -> None:
    other = make_tenant(version)
    charged(acme, "a", properties={"tokens": 200})
    charged(other, "b", Mode.REPORT, properties={"tokens": 300})
    assert [row["event_idempotency_key"] for row in rows(staff, "/charges?export=csv")] in (
        ["a", "b"],
        ["b", "a"],
    )
    (row,) = rows(staff, f"/charges?export=csv&customer={other.customer.external_id}")
    assert (row["payer_customer_name"], row["charge_amount"]) == (other.customer.name, "2")
    clock.use(lambda: NOW + timedelta(days=2))
    assert rows(staff, "/charges?export=csv") == []
    assert len(rows(staff, "/charges?export=csv&period=7d")) == 2
    assert "No customer has" in read(staff, "/charges?customer=nobody")


def test_a_charge_is_proved_by_rating_it_again(staff: Client, acme: Tenant) -> None:
    charged(acme, "a", properties={"tokens": 1000})
    address = charged(acme, "b", properties={"tokens": 200})
    assert "Rate it again from what is stored" in read(staff, address)
    text = read(staff, f"{address}?proof=1")
    assert "Proved." in text
    assert "3 numbers of its ledger" in text
    assert "USD 1.50, the same lines at the same positions" in text


def test_a_proof_that_would_take_long_is_left_to_the_api(
    staff: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charges, "PROVED_MAX", 1)
    assert "Too many to wait for." in read(staff, charged(acme, "a", properties={"tokens": 1}) + "?proof=1")


def test_a_charge_that_cannot_be_proved_says_what_it_comes_to(
    staff: Client, acme: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(charges, "recompute_charge", lambda charge: Rerated(Decimal(7), []))
    text = read(staff, charged(acme, "a", properties={"tokens": 200}) + "?proof=1")
    assert (
        "Not what is stored. Rated again from stored events and published prices it comes to USD 7.00" in text
    )
    assert "stored is USD 1.00" in text
