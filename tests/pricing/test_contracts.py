"""Contracts: a customer's own version, whole and immutable, that nobody else may be on."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import Error, IntegrityError, transaction

from accounts.models import Customer
from accounts.scoping import OPERATOR, Viewer, visible
from billing.charging import Charged
from billing.subscriptions import start_subscription
from core.database_errors import explain_database_error
from core.errors import InvalidRequest, TollgateError, Unprocessable
from metering.meters import archive_meter, create_meter
from metering.models import Meter
from pricing.catalog import read_plan
from pricing.contracts import create_contract
from pricing.models import PlanVersion, Subscription
from pricing.plans import apply_plan
from pricing.versions import latest_published, publish_version, retire_version
from tests.billing.world import Tenant, charge, make_tenant
from tests.pricing.documents import CALLS, PER_CALL, TOKENS, plan_document

pytestmark = pytest.mark.django_db

CHEAPER: dict[str, Any] = {"components": {"calls": {"unit_price": "0.005"}}}
TOK = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.02", "included": "100"}


@pytest.fixture
def base() -> PlanVersion:
    """pro v1: calls at 0.01, tokens at 0.02, a platform fee."""
    return publish_version(
        apply_plan(
            plan_document(
                name="Pro",
                family="api",
                components=[PER_CALL, TOK],
                meters=[CALLS, TOKENS],
                base_fees=[{"key": "platform", "amount": "49"}],
                entitlements=[{"feature": "spaces", "type": "limit", "limit": 5}],
            )
        )
    )


@pytest.fixture
def acme() -> Tenant:
    return make_tenant()


def error(base: PlanVersion, customer: Customer, overrides: dict[str, Any]) -> TollgateError:
    """What stands against a contract."""
    with pytest.raises(TollgateError) as caught:
        create_contract(base, customer, overrides)
    assert not PlanVersion.objects.filter(customer=customer).exists()
    return caught.value


def test_a_contract_is_the_base_with_the_overrides_in_it(base: PlanVersion, acme: Tenant) -> None:
    contract = create_contract(
        base,
        acme.customer,
        {
            "name": "Acme 2027",
            "components": {"calls": {"unit_price": "0.0050"}, "tok": {"included": None}},
            "base_fees": {"platform": {"amount": "400"}},
            "discounts": [{"percent": "15", "components": ["tok"]}],
            "minimum_spend": "5000",
            "entitlements": {"spaces": {"limit": 50}},
            "credits": {"monthly": {"amount": "20"}},
        },
    )
    assert (contract.status, contract.base_id, contract.customer_id) == (
        "published",
        base.pk,
        acme.customer.pk,
    )
    terms = read_plan(contract.content)
    assert (terms.key, terms.family, terms.name, terms.currency) == ("pro", "api", "Acme 2027", "USD")
    assert terms.minimum_spend == Decimal(5000)
    assert [fee.amount for fee in terms.base_fees] == [Decimal(400)]
    assert [credit.amount for credit in terms.credits] == [Decimal(20)]
    assert terms.entitlements[0].limit == Decimal(50)
    definitions = {part.key: part.definition for part in terms.components}
    assert definitions == {
        "calls": PER_CALL | {"unit_price": "0.005"},
        "tok": {key: TOK[key] for key in ("key", "meter", "model", "unit_price")}
        | {"discount_percent": "15"},
    }
    stored = {part.key: part.definition for part in contract.components.order_by("position")}
    assert stored == definitions


def test_the_base_and_the_plans_own_numbers_stay_as_they_are(base: PlanVersion, acme: Tenant) -> None:
    content = base.content
    create_contract(base, acme.customer, CHEAPER)
    base.refresh_from_db()
    assert base.content == content
    assert latest_published(base.plan) == base
    assert base.plan.name == "Pro"
    again = plan_document(name="Pro", components=[PER_CALL], meters=[CALLS])
    second = publish_version(apply_plan(again))
    assert (second.number, str(second)) == (2, "pro v2")
    assert latest_published(base.plan) == second
    assert apply_plan(again).pk == second.pk


def test_contracts_of_a_customer_have_numbers_of_their_own(base: PlanVersion, acme: Tenant) -> None:
    other = make_tenant().customer
    first = create_contract(base, acme.customer, CHEAPER)
    second = create_contract(base, acme.customer, {"minimum_spend": "10"})
    others = create_contract(base, other, CHEAPER)
    assert [str(one) for one in (first, second, others)] == [
        "pro contract 1",
        "pro contract 2",
        "pro contract 1",
    ]


def test_the_same_overrides_again_make_no_second_contract(base: PlanVersion, acme: Tenant) -> None:
    first = create_contract(base, acme.customer, CHEAPER)
    same = create_contract(base, acme.customer, {"components": {"calls": {"unit_price": "0.00500"}}})
    assert same.pk == first.pk
    retire_version(first)
    assert create_contract(base, acme.customer, CHEAPER).number == 2


def test_without_overrides_it_pins_the_base_for_the_customer(base: PlanVersion, acme: Tenant) -> None:
    contract = create_contract(base, acme.customer, {})
    assert contract.content == base.content
    assert contract.content_hash == base.content_hash


def test_a_contract_may_be_renewed_from_the_customers_own(base: PlanVersion, acme: Tenant) -> None:
    first = create_contract(base, acme.customer, CHEAPER)
    renewed = create_contract(first, acme.customer, {"minimum_spend": "10"})
    assert (renewed.base_id, renewed.number) == (first.pk, 2)
    assert renewed.content["components"][0]["unit_price"] == "0.005"
    assert error(first, make_tenant().customer, CHEAPER).code == "not_a_base"


def test_a_retired_base_may_still_be_negotiated_about(base: PlanVersion, acme: Tenant) -> None:
    retire_version(base)
    assert create_contract(base, acme.customer, CHEAPER).status == "published"


def test_a_draft_and_a_phase_are_no_base(base: PlanVersion, acme: Tenant) -> None:
    draft = apply_plan(plan_document("other"))
    found = error(draft, acme.customer, CHEAPER)
    assert (found.code, found.param, found.status) == ("not_a_base", "base", 422)
    ramped = publish_version(
        apply_plan(plan_document("ramped", ramps=[{"after_months": 1, "overrides": CHEAPER}]))
    )
    assert error(ramped.derived.get(), acme.customer, {}).code == "not_a_base"


def test_a_contract_may_ramp(base: PlanVersion, acme: Tenant) -> None:
    contract = create_contract(
        base, acme.customer, {"ramps": [{"starts_on": "2027-01-01", "overrides": CHEAPER}]}
    )
    phase = contract.derived.get()
    assert (phase.phase, phase.customer_id, str(phase)) == (1, acme.customer.pk, "pro contract 1 phase 1")
    assert phase.content["components"][0]["unit_price"] == "0.005"
    assert create_contract(base, acme.customer, CHEAPER).number == 2


@pytest.mark.parametrize(
    ("overrides", "code", "param"),
    [
        ({"components": {"nope": None}}, "unknown_key", "overrides.components.nope"),
        (
            {"components": {"calls": {"unit_price": "x"}}},
            "invalid_decimal",
            "overrides.components.calls.unit_price",
        ),
        (
            {"components": {"calls": {"unit_price": Decimal("0.5")}}},
            "invalid_type",
            "overrides.components.calls.unit_price",
        ),
        (
            {"components": {"img": {"meter": "images", "model": "per_unit", "unit_price": "1"}}},
            "unknown_meter",
            "overrides.components.img.meter",
        ),
        (
            {"entitlements": {"images": {"type": "metered", "meter": "images", "limit": "1"}}},
            "unknown_meter",
            "overrides",
        ),
        ({"currency": "EUR"}, "unknown_key", "overrides.currency"),
    ],
)
def test_overrides_that_do_not_fit_make_nothing(
    base: PlanVersion, acme: Tenant, overrides: dict[str, Any], code: str, param: str
) -> None:
    found = error(base, acme.customer, overrides)
    assert (found.code, found.param) == (code, param)


def test_a_component_on_a_meter_that_takes_the_maximum_is_checked_as_one(
    base: PlanVersion, acme: Tenant
) -> None:
    create_meter(key="peak", definition={"event": "call", "aggregation": "max", "property": "size"})
    share = {"meter": "peak", "model": "percentage", "rate": "0.1"}
    found = error(base, acme.customer, {"components": {"peak": share}})
    assert (found.code, found.param) == ("not_applicable", "overrides.components.peak.model")


def test_a_contract_freezes_the_meters_that_it_adds(base: PlanVersion, acme: Tenant) -> None:
    create_meter(key="images", definition={"event": "image", "aggregation": "count"})
    image = {"meter": "images", "model": "per_unit", "unit_price": "1"}
    create_contract(base, acme.customer, {"components": {"img": image}})
    assert Meter.objects.get(key="images").frozen_at is not None
    archived = create_meter(key="old", definition={"event": "image", "aggregation": "count"})
    archive_meter(archived)
    with pytest.raises(InvalidRequest, match="'old'"):
        create_contract(base, acme.customer, {"components": {"o": image | {"meter": "old"}}})


def test_only_its_customer_may_start_on_it(base: PlanVersion, acme: Tenant) -> None:
    contract = create_contract(base, acme.customer, CHEAPER)
    stranger = make_tenant()
    with pytest.raises(Unprocessable) as caught:
        start_subscription(stranger.payer, contract)
    assert (caught.value.code, caught.value.param) == ("contract_of_another", "plan_version")
    assert start_subscription(acme.payer, contract).version_id == contract.pk


def test_its_customer_is_charged_by_it_and_others_are_not(base: PlanVersion, acme: Tenant) -> None:
    contract = create_contract(base, acme.customer, CHEAPER)
    stranger = make_tenant()
    start_subscription(acme.payer, contract)
    start_subscription(stranger.payer, base)
    for tenant, price in ((acme, "0.005"), (stranger, "0.01")):
        outcome = charge(tenant, "one", event="call", properties={"tokens": 0})
        assert isinstance(outcome, Charged)
        assert outcome.amount == Decimal(price)


def test_the_database_keeps_others_off_it(base: PlanVersion, acme: Tenant) -> None:
    contract = create_contract(base, acme.customer, CHEAPER)
    stranger = make_tenant(base)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    with pytest.raises(IntegrityError) as caught, transaction.atomic():
        Subscription.objects.create(
            customer=stranger.customer,
            billing_entity=stranger.payer,
            version=contract,
            starts_at=moment,
            anchor_at=moment,
            created_at=moment,
        )
    explained = explain_database_error(caught.value)
    assert explained is not None
    assert (explained.code, explained.param) == ("contract_of_another", "plan_version")
    assert stranger.subscription is not None
    with pytest.raises(IntegrityError), transaction.atomic():
        Subscription.objects.filter(pk=stranger.subscription.pk).update(version=contract)
    stranger.subscription.refresh_from_db()
    assert stranger.subscription.version_id == base.pk


def test_a_subscription_on_a_contract_cannot_be_given_to_another_customer(
    base: PlanVersion, acme: Tenant
) -> None:
    subscription = start_subscription(acme.payer, create_contract(base, acme.customer, CHEAPER))
    stranger = make_tenant()
    with pytest.raises(IntegrityError), transaction.atomic():
        Subscription.objects.filter(pk=subscription.pk).update(customer=stranger.customer)


@pytest.mark.parametrize(
    "columns",
    [
        {"base": None},  # a contract of nothing
        {"customer": None, "phase": None},  # derived, but neither a contract nor a phase
        {"customer": None, "phase": 0},
    ],
)
def test_the_database_knows_what_a_derived_version_is(
    base: PlanVersion, acme: Tenant, columns: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {
        "plan": base.plan,
        "number": 9,
        "base": base,
        "customer": acme.customer,
        "content": {},
        "content_hash": "",
        "created_at": base.created_at,
    }
    with pytest.raises(IntegrityError), transaction.atomic():
        PlanVersion.objects.create(**fields | columns)
    PlanVersion.objects.create(**fields)
    with pytest.raises(Error), transaction.atomic():
        PlanVersion.objects.create(**fields)  # the same number of the same customer


def test_a_customer_sees_the_plans_versions_and_its_own_contracts(base: PlanVersion, acme: Tenant) -> None:
    stranger = make_tenant()
    mine = create_contract(base, acme.customer, CHEAPER)
    theirs = create_contract(base, stranger.customer, CHEAPER)

    def seen(viewer: Viewer) -> set[PlanVersion]:
        return set(visible(PlanVersion, viewer))

    assert seen(OPERATOR) == {base, mine, theirs}
    assert seen(Viewer(False, frozenset({acme.customer.pk}))) == {base, mine}
    assert seen(Viewer(False, frozenset({stranger.customer.pk}))) == {base, theirs}
    assert seen(Viewer()) == set()
    assert seen(Viewer(False, frozenset({acme.customer.pk}), acme.workspace.pk)) == {base, mine}
