"""The short way of the commonest call and the way of every call: same rows, same balances, same answers.

The same calls go to two payers alike, for one of them with the short way shut.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from django.db.models import Manager
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.organizations import create_organization
from billing.charging import Charged, ChargeRequest, Denied, Failed, Mode, Outcome, charge_many, path
from billing.charging.straight import book_straight
from billing.limits.verbs import LimitTerms, Owner, create_limit, owner_of
from billing.models import (
    Alert,
    Charge,
    CreditGrant,
    Denial,
    LedgerAccount,
    LimitCounter,
    MarginAlert,
    MarginBucket,
    Overspend,
    PeriodMargin,
    SpendLimit,
    Transfer,
)
from core import clock
from core.sql import driver
from metering.models import IdempotencyKey, Meter, UsageBucket, UsageEvent
from pricing.models import Counter, PlanVersion
from tests.billing.invariants import broken_invariants
from tests.billing.kept_periods import wholes
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version, request
from tests.properties.conftest import PROFILE

pytestmark = pytest.mark.django_db

NOW = START + timedelta(days=20)
TIERS = [{"up_to": "5", "unit_price": "1", "flat_fee": "0.3"}, {"up_to": None, "unit_price": "0.25"}]
COMPONENTS: dict[str, list[dict[str, Any]]] = {
    "graduated": [{"key": "tok", "meter": "tokens", "model": "graduated", "tiers": TIERS}],
    "volume": [{"key": "a.b:c-1", "meter": "tokens", "model": "volume", "tiers": TIERS}],
    "capped": [
        {
            "key": "tok",
            "meter": "tokens",
            "model": "per_unit",
            "unit_price": "0.333333333333333333",
            "maximum": "4",
            "discount_percent": "12.5",
            "included": "1",
        }
    ],
    "percentage": [{"key": "fee", "meter": "tokens", "model": "percentage", "rate": "0.03"}],
    "cost plus": [{"key": "cost", "meter": "tokens", "model": "cost_plus", "markup": "0.2"}],
    "grouped": [
        {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1", "group_by": ["region"]}
    ],
    "two": [
        {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.1"},
        {"key": "call", "meter": "calls", "model": "per_unit", "unit_price": "0.01"},
    ],
    "highest": [{"key": "peak", "meter": "peak", "model": "per_unit", "unit_price": "1"}],
}
CALLS = st.fixed_dictionaries(
    {
        "mode": st.sampled_from([Mode.ASK, Mode.REPORT]),
        "tokens": st.sampled_from([3, Decimal("0.5"), "2.25", 40, -2, 0, 10**19, "no number", None]),
        "region": st.sampled_from(["eu", "us"]),
        "cost": st.sampled_from([None, "0", "1.5"]),
        "hours_ago": st.sampled_from([0, 1, 30]),
        "key": st.integers(0, 30),
    }
)
PAYERS = st.fixed_dictionaries(
    {
        "settlement": st.sampled_from(["wallet_only", "wallet_only", "wallet_then_invoice", "invoice_only"]),
        "overdraft": st.sampled_from([Decimal(0), Decimal(5), None]),
        "credit_limit": st.sampled_from([None, Decimal(20)]),
        "status": st.sampled_from(["active", "active", "suspended"]),
    }
)
GRANTS = st.lists(
    st.fixed_dictionaries(
        {
            "amount": st.sampled_from([Decimal("0.7"), Decimal(12), Decimal(10) ** 9]),
            "priority": st.integers(0, 2),
            "components": st.sampled_from([[], ["tok"], ["other"]]),
            "effective_at": st.sampled_from([START, NOW - timedelta(hours=2)]),
        }
    ),
    max_size=3,
)
BOUNDS = st.fixed_dictionaries(
    {
        "limits": st.lists(st.sampled_from(["workspace", "organization", "meter", "payer"]), unique=True),
        "amount": st.sampled_from([Decimal(4), Decimal(10) ** 9]),
        "quota": st.sampled_from([None, "7", "1000000000"]),
        "feature": st.sampled_from([None, None, None, False]),
        "floor": st.sampled_from([None, "deny", "notify"]),
    }
)
UNBOUND: dict[str, Any] = {"limits": [], "amount": Decimal(0), "quota": None, "feature": None, "floor": None}
BOUND: dict[str, Any] = {
    "limits": ["workspace", "organization", "meter", "payer"],
    "amount": Decimal(1000),
    "quota": "1000",
    "feature": None,
    "floor": "deny",
}


def terms_of(bounds: dict[str, Any], meter: str) -> dict[str, Any]:
    """What a version says of quotas, features and margins."""
    entitlements: list[dict[str, Any]] = []
    if bounds["quota"] is not None and meter == "tokens":
        entitlements.append(
            {"feature": "quota", "type": "metered", "meter": "tokens", "limit": bounds["quota"]}
        )
    if bounds["feature"] is not None:
        entitlements.append({"feature": "completion", "type": "boolean", "value": bounds["feature"]})
    terms: dict[str, Any] = {"entitlements": entitlements} if entitlements else {}
    if bounds["floor"] is not None:
        terms["margin_floor"] = {"min_margin": "0.5", "min_volume": "3", "action": bounds["floor"]}
    return terms


def bind(tenant: Tenant, bounds: dict[str, Any], meter: Meter) -> None:
    """Set the payer's limits, of each kind of window."""
    organization = create_organization(customer=tenant.customer, name="Group")
    tenant.workspace.organization = organization
    tenant.workspace.save()
    owners: dict[str, tuple[Owner, LimitTerms]] = {
        "workspace": (owner_of(workspace=tenant.workspace), {"window": "day"}),
        "organization": (owner_of(organization=organization), {"kind": "soft"}),
        "meter": (owner_of(billing_entity=tenant.payer, meter=meter), {}),
        "payer": (owner_of(billing_entity=tenant.payer), {"window": "rolling", "hours": 24}),
    }
    for level in bounds["limits"]:
        owner, terms = owners[level]
        create_limit(owner, bounds["amount"], **terms)


def alike(version: PlanVersion, payer: dict[str, Any], grants: Sequence[dict[str, Any]]) -> Tenant:
    tenant = make_tenant(version, **payer)
    for grant in grants:
        CreditGrant.objects.create(
            customer_id=tenant.customer.pk,
            billing_entity_id=tenant.payer.pk,
            kind=CreditGrant.Kind.PAID,
            remaining=grant["amount"],
            created_at=START,
            **grant,
        )
    return tenant


def request_of(tenant: Tenant, call: dict[str, Any]) -> ChargeRequest:
    costs = [] if call["cost"] is None else [{"vendor": "v", "amount": call["cost"], "currency": "USD"}]
    fields: dict[str, Any] = {"costs": costs} if costs else {}
    properties = {"tokens": call["tokens"], "peak": call["tokens"], "region": call["region"], "é": "\\t\t"}
    at = (NOW - timedelta(hours=call["hours_ago"])).isoformat()
    key = f"k{call['key']}"
    return request(tenant, key, call["mode"], properties=properties, occurred_at=at, **fields)


def send(tenant: Tenant, batches: Sequence[Sequence[dict[str, Any]]]) -> list[Any]:
    return [
        shown(outcome, tenant)
        for calls in batches
        for outcome in charge_many([request_of(tenant, call) for call in calls])
    ]


def shown(outcome: Outcome, tenant: Tenant) -> Any:
    """An outcome without the ids that two payers cannot share."""
    if isinstance(outcome, Charged):
        lines = [without(line, "segment") for line in outcome.lines]
        funds = (outcome.available, outcome.settled, outcome.held)
        marks = (outcome.is_replay, outcome.unmatched, outcome.unpriced)
        return outcome.seq, outcome.amount, outcome.currency, outcome.cost, lines, funds, marks
    if isinstance(outcome, Denied):
        bound = (outcome.level, outcome.limit, outcome.used, outcome.resets_at, outcome.is_retryable)
        return outcome.reason, outcome.expected_amount, outcome.available, outcome.settled, bound
    if isinstance(outcome, Failed):
        return outcome.error.code, outcome.error.param
    return type(outcome).__name__


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


OWN = (
    "customer_id",
    "billing_entity_id",
    "workspace_id",
    "id",
    "event_id",
    "segment_id",
    "reference",
    "level_id",
    "pk",
    "charge_id",
)


def stored(tenant: Tenant) -> dict[str, Any]:
    """All that is stored of a payer, without its ids; grants by their place."""
    own = {"customer_id": tenant.customer.pk}
    grants = list(CreditGrant.objects.filter(**own).order_by("id"))
    place: dict[int | None, int | None] = {grant.pk: number for number, grant in enumerate(grants)}
    place[None] = None

    limits = {limit.counter: limit.level for limit in SpendLimit.objects.filter(**own)}

    def rows(found: Manager[Any], *order: str) -> list[dict[str, Any]]:
        return [without(row, *OWN) for row in found.filter(**own).order_by(*order).values()]

    windows = [
        without(dict(row), "id", "customer_id", "counter") | {"of": limits.get(row["counter"], "quota")}
        for row in LimitCounter.objects.filter(**own).values()
    ]

    charges = rows(Charge.objects, "seq")
    for charge in charges:
        charge["lines"] = [without(line, "segment") for line in charge["lines"]]
        charge["funding"] = [
            without(part, "segment") | {"grant": place[part["grant"]]} for part in charge["funding"]
        ]
    transfers = rows(Transfer.objects, "seq", "position")
    for transfer in transfers:
        transfer["grant_id"] = place[transfer["grant_id"]]
    return {
        "charges": charges,
        "transfers": transfers,
        "events": rows(UsageEvent.objects, "seq"),
        "keys": [row.key for row in IdempotencyKey.objects.filter(**own).order_by("key")],
        "accounts": rows(LedgerAccount.objects, "kind"),
        "grants": [(one.remaining, one.covered, one.is_open, one.booked_at) for one in grants],
        "counters": rows(Counter.objects, "component_id", "dimensions"),
        "buckets": rows(UsageBucket.objects, "meter_id", "hour", "dimensions"),
        "margins": rows(MarginBucket.objects, "hour"),
        "denials": rows(Denial.objects, "id"),
        "overspend": rows(Overspend.objects, "seq"),
        "windows": sorted(windows, key=lambda row: (row["of"], row["starts_at"])),
        "alerts": [without(row, "key", "limit_id") for row in rows(Alert.objects, "id")],
        "periods": rows(PeriodMargin.objects, "starts_at"),
        "whole periods": [row[1:] for row in wholes(tenant.payer)],
        "margin alerts": [without(row, "key", "detail") for row in rows(MarginAlert.objects, "id")],
    }


def compare(plan: str, payer: dict[str, Any], grants: Any, batches: Any, bounds: Any = UNBOUND) -> int:
    """Send the same to both; how many calls took the short way."""
    clock.use(lambda: NOW)
    meters = {}
    for meter in [component["meter"] for component in COMPONENTS[plan]]:
        kind = {"calls": "count", "peak": "max"}.get(meter, "sum")
        meters[meter] = make_meter(meter, aggregation=kind, group_by=["region"] if plan == "grouped" else [])
    first = next(iter(meters))
    version = make_version(COMPONENTS[plan], **terms_of(bounds, first))
    short, long = alike(version, payer, grants), alike(version, payer, grants)
    for tenant in (short, long):
        bind(tenant, bounds, meters[first])
    taken = 0

    def counted(*arguments: Any) -> Charged | None:
        nonlocal taken
        booked = book_straight(*arguments)
        taken += booked is not None
        return booked

    with mock.patch.object(path, "book_straight", counted):
        by_short = send(short, batches)
    with mock.patch.object(path, "book_straight", return_value=None):
        by_long = send(long, batches)
    assert by_short == by_long
    assert stored(short) == stored(long)
    assert broken_invariants(driver()) == []
    clock.use(None)
    return taken


@settings(PROFILE, max_examples=PROFILE.max_examples * 2)
@given(
    plan=st.sampled_from(sorted(COMPONENTS)),
    payer=PAYERS,
    grants=GRANTS,
    batches=st.lists(st.lists(CALLS, min_size=1, max_size=6), min_size=1, max_size=3),
    bounds=BOUNDS,
)
def test_both_ways_agree_on_whatever_comes(
    plan: str, payer: Any, grants: Any, batches: Any, bounds: Any
) -> None:
    with transaction.atomic():
        compare(plan, payer, grants, batches, bounds)
        transaction.set_rollback(True)


CALL = {
    "mode": Mode.REPORT,
    "tokens": 3,
    "region": "eu",
    "cost": None,
    "hours_ago": 0,
    "key": 0,
}
ACTIVE = {"settlement": "wallet_only", "overdraft": Decimal(0), "credit_limit": None, "status": "active"}
GRANT = {"amount": Decimal(100), "priority": 0, "components": [], "effective_at": START}


@pytest.mark.parametrize("mode", [Mode.ASK, Mode.REPORT])
@pytest.mark.parametrize(
    ("plan", "bounds"),
    [("graduated", UNBOUND), ("capped", UNBOUND), ("percentage", BOUND), ("two", BOUND)],
)
def test_the_commonest_calls_take_the_short_way(plan: str, mode: Mode, bounds: Any) -> None:
    calls = [
        CALL | {"mode": mode, "key": number, "tokens": 3 + number, "cost": "0.01"} for number in range(3)
    ]
    grants = [GRANT, GRANT | {"priority": 1}, GRANT | {"priority": 2}]
    assert compare(plan, ACTIVE, grants, [calls[:2], calls[2:]], bounds) == 3


@pytest.mark.parametrize(
    "bounds",
    [
        {"limits": ["workspace"], "amount": Decimal(2)},
        {"limits": ["meter"], "amount": Decimal(2)},
        {"limits": ["payer"], "amount": Decimal(2)},
        {"quota": "2"},
        {"feature": False},
        {"floor": "deny"},
    ],
    ids=str,
)
def test_what_is_refused_takes_the_long_way_and_what_is_told_the_short_one(bounds: dict[str, Any]) -> None:
    told = CALL | {"cost": "2.9"}
    asked = told | {"mode": Mode.ASK, "key": 1}
    bounds = UNBOUND | bounds
    assert compare("graduated", ACTIVE, [GRANT], [[asked], [told], [asked]], bounds) == 1


@pytest.mark.parametrize(
    ("plan", "payer", "grants", "call"),
    [
        ("grouped", {}, [GRANT], {}),
        ("highest", {}, [GRANT], {}),
        ("graduated", {}, [], {}),
        ("graduated", {}, [GRANT | {"amount": Decimal(2)}], {}),
        ("graduated", {}, [GRANT | {"components": ["other"]}], {}),
        ("graduated", {}, [GRANT | {"effective_at": NOW - timedelta(hours=1)}], {"hours_ago": 2}),
        ("graduated", {}, [GRANT], {"tokens": -3}),
        ("volume", {}, [GRANT], {"tokens": 0}),
        ("graduated", {}, [GRANT], {"tokens": "no number"}),
        ("cost plus", {}, [GRANT], {"cost": None}),
        ("graduated", {"settlement": "invoice_only"}, [GRANT], {}),
        ("graduated", {"settlement": "wallet_then_invoice"}, [GRANT], {}),
        ("graduated", {"status": "suspended"}, [GRANT], {"mode": Mode.ASK}),
        ("graduated", {"low_balance": [Decimal(99)]}, [GRANT], {}),
    ],
)
def test_what_is_not_of_this_kind_takes_the_long_way(
    plan: str, payer: dict[str, Any], grants: Any, call: dict[str, Any]
) -> None:
    assert compare(plan, ACTIVE | payer, grants, [[CALL | call]]) == 0
