"""`/v1/usage`, `/v1/costs`, `/v1/margins` and unheard names, over calls that went through the charge path."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from accounts.models import BillingEntity
from accounts.scoping import OPERATOR, Viewer
from billing.charging import Mode
from billing.margins import Margin
from billing.models import MarginBucket
from billing.rerating import rerate_events
from billing.unmatched import sample_event, unheard_names
from core.ids import public_id
from metering.models import ExchangeRate
from pricing.models import Subscription
from tests.api_client import Api
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version
from tests.clocks import standing_at

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
_january = standing_at(NOW)


@pytest.fixture
def api() -> Api:
    return Api("read")


@pytest.fixture
def tenant() -> Tenant:
    make_meter(unit="token")
    return make_tenant(make_version([PER_TOKEN]))


def cost(amount: str, currency: str = "USD") -> list[dict[str, str]]:
    return [{"vendor": "openai", "amount": amount, "currency": currency}]


def call(tenant: Tenant, key: str, tokens: int = 100, **fields: Any) -> None:
    charge(tenant, key, Mode.REPORT, properties={"tokens": tokens}, **fields)


def subscribe(tenant: Tenant, component: dict[str, Any]) -> None:
    Subscription.objects.create(
        customer=tenant.customer,
        billing_entity=tenant.payer,
        version=make_version([component]),
        starts_at=START,
        anchor_at=START,
        created_at=NOW,
    )


def ask(api: Api, path: str, tenant: Tenant, **params: str) -> Any:
    answer = api.get(f"/v1/{path}", customer=str(tenant.customer.external_id), **params)
    assert answer.status_code == 200, answer.content
    return answer.json()


def total(answer: Any) -> dict[str, Any]:
    (series,) = answer["data"]
    figures: dict[str, Any] = series["total"]
    return figures


def test_a_margin_is_revenue_less_cost_with_its_coverage(api: Api, tenant: Tenant) -> None:
    call(tenant, "a", 100, costs=cost("0.30"))
    call(tenant, "b", 300, costs=cost("0.50"))
    call(tenant, "c", 100)
    answer = ask(api, "margins", tenant)
    assert answer["as_of"] == "2026-01-15T12:00:00Z"
    assert answer["data"] == [
        {
            "currency": "USD",
            "group": {},
            "total": {
                "revenue": "5",
                "cost": "0.8",
                "margin": "4.2",
                "margin_rate": "0.84",
                "cost_coverage": "0.666666666666666667",
                "events": 3,
                "costed": 2,
                "unmatched": 0,
                "unpriced": 0,
            },
            "points": [
                {
                    "start": "2026-01-15T00:00:00Z",
                    "end": "2026-01-15T13:00:00Z",
                    "revenue": "5",
                    "cost": "0.8",
                    "margin": "4.2",
                    "margin_rate": "0.84",
                    "cost_coverage": "0.666666666666666667",
                    "events": 3,
                    "costed": 2,
                    "unmatched": 0,
                    "unpriced": 0,
                }
            ],
        }
    ]


def test_an_unknown_cost_is_null_and_so_is_the_margin(api: Api, tenant: Tenant) -> None:
    call(tenant, "a")
    figures = total(ask(api, "margins", tenant, to="2026-01-16"))
    assert (figures["cost"], figures["margin"], figures["margin_rate"]) == (None, None, None)
    assert (figures["revenue"], figures["cost_coverage"]) == ("1", "0")


def test_a_known_cost_of_nothing_is_zero(api: Api, tenant: Tenant) -> None:
    call(tenant, "a", costs=[])
    figures = total(ask(api, "costs", tenant, to="2026-01-16"))
    assert figures == {"cost": "0", "cost_coverage": "1", "events": 1, "costed": 1}


def test_a_cost_that_cannot_be_converted_is_not_covered(api: Api, tenant: Tenant) -> None:
    call(tenant, "a", costs=cost("1", "EUR"))
    assert total(ask(api, "costs", tenant, to="2026-01-16"))["cost"] is None
    ExchangeRate.objects.create(base="EUR", quote="USD", rate="1.5", starts_at=START, created_at=START)
    call(tenant, "b", costs=cost("1", "EUR"))
    figures = total(ask(api, "costs", tenant, to="2026-01-16"))
    assert (figures["cost"], figures["cost_coverage"]) == ("1.5", "0.5")


def test_usage_cost_and_margin_are_of_the_hour_in_which_it_happened(api: Api, tenant: Tenant) -> None:
    call(tenant, "a", 1, costs=cost("0.1"), occurred_at="2026-01-14T23:59:59Z")
    call(tenant, "b", 2, costs=cost("0.2"), occurred_at="2026-01-15T00:00:00Z")
    call(tenant, "c", 4, costs=cost("0.4"), occurred_at="2026-01-15T11:00:00Z")
    usage, margins = ask(api, "usage", tenant), ask(api, "margins", tenant)
    assert [point["value"] for point in usage["data"][0]["points"]] == ["1", "6"]
    assert [(point["revenue"], point["cost"]) for point in margins["data"][0]["points"]] == [
        ("0.01", "0.1"),
        ("0.06", "0.6"),
    ]


def test_a_loss_is_a_negative_margin(api: Api, tenant: Tenant) -> None:
    call(tenant, "a", 100, costs=cost("4"))
    figures = total(ask(api, "margins", tenant, to="2026-01-16"))
    assert (figures["margin"], figures["margin_rate"]) == ("-3", "-3")


def test_margins_are_divided_by_payer_workspace_and_event(api: Api, tenant: Tenant) -> None:
    call(tenant, "a", costs=cost("0.1"))
    call(tenant, "b", event="completoin", costs=cost("0.2"))
    answer = ask(api, "margins", tenant, group_by="event,workspace,billing_entity", to="2026-01-16")
    workspace, payer = public_id("ws", tenant.workspace.pk), public_id("be", tenant.payer.pk)
    assert [(list(one["group"].values()), one["total"]["cost"]) for one in answer["data"]] == [
        (["completion", workspace, payer], "0.1"),
        (["completoin", workspace, payer], "0.2"),
    ]


def test_margins_of_a_meter_or_an_event_only(api: Api, tenant: Tenant) -> None:
    call(tenant, "a", costs=cost("0.1"))
    call(tenant, "b", event="other", costs=cost("0.2"))
    assert total(ask(api, "costs", tenant, meter="tokens", to="2026-01-16"))["cost"] == "0.1"
    assert total(ask(api, "costs", tenant, event="other", to="2026-01-16"))["cost"] == "0.2"
    assert total(ask(api, "costs", tenant, event="other,completion", to="2026-01-16"))["cost"] == "0.3"
    assert ask(api, "costs", tenant, event="other", meter="tokens", to="2026-01-16")["data"] == []


def test_payers_with_different_currencies_never_meet(api: Api, tenant: Tenant) -> None:
    call(tenant, "a", costs=cost("0.1"))
    euro = BillingEntity.objects.create(
        customer=tenant.customer, name="Europe", currency="EUR", created_at=START
    )
    for payer, amount in ((euro, "7"), (tenant.payer, "1")):
        MarginBucket.objects.create(
            customer_id=tenant.customer.pk,
            billing_entity_id=payer.pk,
            hour=datetime(2026, 1, 3, tzinfo=UTC),
            workspace_id=0,
            event="base_fee",
            revenue=Decimal(amount),
        )
    answer = ask(api, "margins", tenant, to="2026-01-16")
    revenues = {one["currency"]: one["total"]["revenue"] for one in answer["data"]}
    assert revenues == {"EUR": "7", "USD": "2"}
    fee = answer["data"][0]["total"]
    assert (fee["cost"], fee["margin"], fee["cost_coverage"]) == ("0", "7", None)


# --- from events


def test_a_trace_has_one_price_and_all_its_costs(api: Api, tenant: Tenant) -> None:
    for n, (name, amount) in enumerate((("transcribe", "0.20"), ("generate", "0.30"), ("encode", "0.05"))):
        call(tenant, f"step-{n}", event=name, costs=cost(amount), trace="podcast-7")
    call(tenant, "done", 200, trace="podcast-7", costs=[])
    call(tenant, "another", 999, trace="podcast-8")
    figures = total(ask(api, "margins", tenant, trace="podcast-7"))
    assert (figures["revenue"], figures["cost"], figures["margin"]) == ("2", "0.55", "1.45")
    assert (figures["events"], figures["cost_coverage"], figures["unmatched"]) == (4, "1", 3)
    by_event = ask(api, "costs", tenant, trace="podcast-7", group_by="event")["data"]
    assert {one["group"]["event"]: one["total"]["cost"] for one in by_event} == {
        "completion": "0",
        "encode": "0.05",
        "generate": "0.3",
        "transcribe": "0.2",
    }


def test_a_user_is_read_from_events_and_agrees_with_the_buckets(api: Api, tenant: Tenant) -> None:
    for n in range(4):
        call(tenant, f"k{n}", 10 * n, user="maria", costs=cost(f"0.0{n}"))
    whole = ask(api, "margins", tenant, to="2026-01-16")
    assert ask(api, "margins", tenant, to="2026-01-16", user="maria") == whole
    assert ask(api, "margins", tenant, user="joe")["data"] == []
    usage = ask(api, "usage", tenant, to="2026-01-16")
    assert ask(api, "usage", tenant, to="2026-01-16", user="maria")["data"] == usage["data"]


def test_what_was_re_rated_later_belongs_to_its_trace(api: Api) -> None:
    tenant = make_tenant(None)
    call(tenant, "a", 100, trace="t", costs=cost("0.1"))
    make_meter()
    subscribe(tenant, PER_TOKEN)
    assert total(ask(api, "margins", tenant, trace="t"))["revenue"] == "0"
    rerate_events(tenant.payer)
    assert total(ask(api, "margins", tenant, trace="t"))["revenue"] == "1"
    assert total(ask(api, "margins", tenant, to="2026-01-16"))["revenue"] == "1"


# --- who may ask, and what it costs


@pytest.mark.parametrize("path", ["costs", "margins"])
def test_costs_and_margins_are_the_operators_business(tenant: Tenant, path: str) -> None:
    answer = Api("events:write").get(f"/v1/{path}", customer=str(tenant.customer.external_id))
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "missing_parameter"),
        ({"customer": "x", "group_by": "model"}, "not_found"),
        ({"group_by": "model"}, "missing_parameter"),
        ({"vendor": "x"}, "unknown_parameter"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(api: Api, params: dict[str, str], code: str) -> None:
    answer = api.get("/v1/margins", **params)
    assert answer.status_code in (400, 404)
    assert answer.json()["error"]["code"] == code


def test_margins_have_no_dimensions_of_meters(api: Api, tenant: Tenant) -> None:
    answer = api.get("/v1/margins", customer=str(tenant.customer.external_id), group_by="model")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "group_by")


def test_what_margins_cost_does_not_grow_with_calls(
    api: Api, tenant: Tenant, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for n in range(12):
        call(tenant, f"k{n}", user="maria", event=f"e{n}", occurred_at=f"2026-01-{n + 1:02}T00:00:00Z")
    ask(api, "margins", tenant)
    with django_assert_num_queries(5):  # the key's version, customer, clock, currencies, buckets
        assert len(ask(api, "margins", tenant, group_by="event")["data"]) == 12
    with django_assert_num_queries(8):  # ... events, their charges, later charges
        assert len(ask(api, "margins", tenant, group_by="event", user="maria")["data"]) == 12


# --- figures


def test_margins_add_up() -> None:
    one = Margin(2, 1, 1, 0, Decimal("1.5"), Decimal("0.5"))
    both = one + Margin(1, 1, 0, 1, Decimal("0.5"), Decimal("2"))
    assert both == Margin(3, 2, 1, 1, Decimal("2.0"), Decimal("2.5"))
    assert (both.margin, both.margin_rate) == (Decimal("-0.5"), Decimal("-0.25"))
    assert Margin() + one == one


# --- names that nobody hears


def test_unheard_names_are_listed_with_a_guess(tenant: Tenant) -> None:
    call(tenant, "a", event="completoin", occurred_at="2026-01-15T08:30:00Z")
    call(tenant, "b", event="completoin", occurred_at="2026-01-15T09:30:00Z")
    call(tenant, "c", event="image", occurred_at="2026-01-15T10:30:00Z")
    call(tenant, "d")
    call(make_tenant(None), "e")  # metered, but this payer has no plan
    names = unheard_names(OPERATOR, since=NOW - timedelta(days=7))
    assert [(one.event, one.unmatched, one.unpriced, one.customers, one.close_to) for one in names] == [
        ("completion", 0, 1, 1, None),
        ("image", 1, 0, 1, None),
        ("completoin", 2, 0, 1, "completion"),
    ]
    assert names[2].last_hour == datetime(2026, 1, 15, 9, tzinfo=UTC)
    assert unheard_names(OPERATOR, since=NOW + timedelta(days=1)) == []


def test_an_unheard_name_has_a_sample(tenant: Tenant) -> None:
    call(tenant, "a", 1, event="completoin", occurred_at="2026-01-15T09:10:00Z")
    call(tenant, "b", 2, event="completoin", occurred_at="2026-01-15T09:20:00Z")
    (name,) = unheard_names(OPERATOR, since=START)
    sample = sample_event(OPERATOR, name.event, name.last_hour)
    assert sample is not None
    assert sample.properties == {"tokens": 2}
    assert sample_event(OPERATOR, "completoin", NOW) is None


def test_nobody_sees_anothers_unheard_names(tenant: Tenant) -> None:
    call(tenant, "a", event="completoin")
    stranger = Viewer(customer_ids=frozenset({tenant.customer.pk + 1}))
    assert unheard_names(stranger, since=START) == []
    assert sample_event(stranger, "completoin", NOW) is None
    assert len(unheard_names(Viewer(customer_ids=frozenset({tenant.customer.pk})), since=START)) == 1


def test_a_name_that_is_priced_by_choice_disappears() -> None:
    tenant = make_tenant(None)
    call(tenant, "a", event="chat")
    assert len(unheard_names(OPERATOR, since=START)) == 1
    make_meter("chat_tokens", event="chat", property_path="tokens")
    subscribe(tenant, PER_TOKEN | {"meter": "chat_tokens"})
    rerate_events(tenant.payer)
    assert unheard_names(OPERATOR, since=START) == []
