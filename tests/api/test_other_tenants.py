"""Two customers side by side: no request joins what is one's to what is the other's, and no key of a customer
learns of the other, whatever it names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import Sum
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from accounts.models import BillingEntity, Organization, PayerAssignment, Workspace
from accounts.organizations import create_organization
from accounts.users import add_member, add_to_staff, create_user
from billing.models import Charge, LedgerAccount, TopUp
from billing.wallets import grant_credit
from core.ids import hot_id
from metering.models import QuarantinedEvent, UsageEvent
from tests.accounts.caller import Caller, caller_with
from tests.api.doors import LISTS, PER_TOKEN
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
DAY = {"from": "2026-01-01", "to": "2026-01-02"}


@dataclass
class Side:
    """A customer with an organization, a key of its own, a charge and a grant."""

    tenant: Tenant
    organization: str
    key: str
    secret: str
    charge: str
    grant: str

    @property
    def customer(self) -> str:
        return self.tenant.customer.public_id

    @property
    def payer(self) -> str:
        return self.tenant.payer.public_id

    @property
    def workspace(self) -> str:
        return self.tenant.workspace.public_id


@dataclass
class Sides:
    caller: Caller
    acme: Side
    rival: Side


@pytest.fixture
def sides() -> Sides:
    make_meter()
    version, caller = make_version([PER_TOKEN]), caller_with("admin")
    made = []
    for _ in range(2):
        tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
        organization = create_organization(customer=tenant.customer, name="Own")
        space = str(tenant.workspace.external_id)
        key = caller.made("/v1/api-keys", {"workspace": space, "name": "Own"})
        outcome: Any = charge(tenant, "same-key", properties={"tokens": 100}, trace="job", user="anna")
        grant = grant_credit(tenant.payer, Decimal(1))
        charged = hot_id("ch", outcome.customer_id, outcome.id)
        made.append(Side(tenant, organization.public_id, key["id"], key["secret"], charged, grant.public_id))
    return Sides(caller, *made)


Mix = Callable[[Side, Side], tuple[str, str, dict[str, Any]]]
EVENT = {"idempotency_key": "mixed", "event": "completion", "properties": {"tokens": 1}}
MIXES: dict[str, tuple[set[int], Mix]] = {
    "an organization under another's": (
        {404, 422},
        lambda a, b: (
            "POST",
            "/v1/organizations",
            {"customer": a.customer, "name": "n", "parent": b.organization},
        ),
    ),
    "a workspace in another's organization": (
        {404, 422},
        lambda a, b: (
            "POST",
            "/v1/workspaces",
            {"customer": a.customer, "name": "n", "organization": b.organization},
        ),
    ),
    "a workspace that another pays for": (
        {404, 422},
        lambda a, b: (
            "POST",
            "/v1/workspaces",
            {"customer": a.customer, "name": "n", "billing_entity": b.payer},
        ),
    ),
    "a workspace moved into another's organization": (
        {404, 422},
        lambda a, b: ("PATCH", f"/v1/workspaces/{a.workspace}", {"organization": b.organization}),
    ),
    "a payer of another's organization": (
        {404, 422},
        lambda a, b: (
            "POST",
            "/v1/billing-entities",
            {"customer": a.customer, "name": "n", "currency": "USD", "organization": b.organization},
        ),
    ),
    "a payer moved into another's organization": (
        {404, 422},
        lambda a, b: ("PATCH", f"/v1/billing-entities/{a.payer}", {"organization": b.organization}),
    ),
    "a workspace assigned to another's payer": (
        {404, 422},
        lambda a, b: (
            "POST",
            "/v1/payer-assignments",
            {"workspace": a.workspace, "billing_entity": b.payer},
        ),
    ),
    "a call of a workspace, charged to another's payer": (
        {404, 422},
        lambda a, b: (
            "POST",
            "/v1/charges",
            EVENT | {"workspace": a.workspace, "billing_entity": b.payer},
        ),
    ),
    "a call with a key, charged to another's payer": (
        {404, 422},
        lambda a, b: ("POST", "/v1/charges", EVENT | {"api_key": a.key, "billing_entity": b.payer}),
    ),
    "a call with a key in another's workspace": (
        {404, 422},
        lambda a, b: ("POST", "/v1/charges", EVENT | {"api_key": a.secret, "workspace": b.workspace}),
    ),
    "a backfill of a payer by another's customer id": (
        {400, 404, 422},
        lambda a, b: ("POST", "/v1/backfills", {"billing_entity": a.payer, "customer": b.customer}),
    ),
}


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("is_turned", [False, True])
def test_nothing_joins_what_is_ones_to_what_is_anothers(sides: Sides, mix: str, is_turned: bool) -> None:
    statuses, make = MIXES[mix]
    before = everything()
    one, other = (sides.rival, sides.acme) if is_turned else (sides.acme, sides.rival)
    method, path, body = make(one, other)
    answer = getattr(sides.caller, method.lower())(path, body)
    assert answer.status in statuses, answer.body
    assert answer.error["type"] in ("invalid_request", "not_found")
    assert everything() == before


def everything() -> list[Any]:
    counted = (Organization, Workspace, BillingEntity, PayerAssignment, UsageEvent, Charge, TopUp)
    return [
        *(model._default_manager.count() for model in counted),
        LedgerAccount.objects.aggregate(Sum("balance"), Sum("seq")),
        list(Workspace.objects.order_by("pk").values_list("organization_id", flat=True)),
        list(BillingEntity.objects.order_by("pk").values_list("organization_id", flat=True)),
    ]


def test_a_report_that_mixes_two_customers_reaches_neither(sides: Sides) -> None:
    a, b = sides.acme, sides.rival
    mixed = [
        EVENT | {"idempotency_key": "m1", "workspace": a.workspace, "billing_entity": b.payer},
        EVENT | {"idempotency_key": "m2", "api_key": b.key, "workspace": a.workspace},
        EVENT | {"idempotency_key": "m3", "workspace": a.workspace, "billing_entity": a.payer},
    ]
    answer = sides.caller.post("/v1/events", {"events": mixed}).json
    assert answer["accepted"] == 1
    assert answer["accepted"] + answer["rejected"] + answer["quarantined"] == 3
    assert UsageEvent.objects.filter(customer_id=b.tenant.customer.pk).count() == 1
    assert UsageEvent.objects.filter(customer_id=a.tenant.customer.pk).count() == 2
    assert not QuarantinedEvent.objects.filter(idempotency_key="m3").exists()


def test_one_key_is_used_by_each_customer_for_itself(sides: Sides) -> None:
    again = {**EVENT, "idempotency_key": "same-key", "properties": {"tokens": 100}}
    for side in (sides.acme, sides.rival):
        body = again | {"workspace": side.tenant.workspace.external_id, "trace": "job", "user": "anna"}
        answer = sides.caller.post("/v1/charges", body)
        assert (answer.status, answer.json["id"]) == (200, side.charge)


@pytest.mark.parametrize("name", ["usage", "costs", "margins"])
def test_a_series_is_of_one_customer(sides: Sides, name: str) -> None:
    a, b = sides.acme, sides.rival
    mixes = (
        {"customer": a.customer, "workspace": b.workspace},
        {"customer": a.customer, "billing_entity": b.payer},
        {"workspace": a.workspace, "billing_entity": b.payer},
        {"customer": a.customer, "api_key": b.key},
    )
    for mix in mixes:
        answer = sides.caller.get(f"/v1/{name}", **mix, **DAY)
        assert answer.status in (400, 404, 422) or answer.json["data"] == [], mix


READS = ("balance", "usage")


def test_a_customers_key_opens_two_doors_and_no_other(sides: Sides) -> None:
    own = Caller(sides.acme.secret)
    a = sides.acme
    details = [
        f"customers/{a.customer}",
        f"organizations/{a.organization}",
        f"workspaces/{a.workspace}",
        f"billing-entities/{a.payer}",
        f"api-keys/{a.key}",
        f"charges/{a.charge}",
        f"credit-grants/{a.grant}",
        f"wallets/{a.payer}",
        "costs",
        "margins",
    ]
    for path in (*LISTS, *details):
        answer = own.get(f"/v1/{path}")
        assert (answer.status, answer.error["type"]) in ((401, "authentication"), (403, "permission")), path
    assert [own.get(f"/v1/{path}").status for path in READS] == [200, 200]
    assert own.post("/v1/charges", EVENT | {"workspace": a.workspace}).status == 401
    assert own.post("/v1/events", {"events": []}).status == 401


@pytest.mark.parametrize("name", READS)
def test_a_customers_key_learns_nothing_by_naming_another(sides: Sides, name: str) -> None:
    own, b = Caller(sides.acme.secret), sides.rival
    names = {"workspace": b.workspace, "billing_entity": b.payer}
    names |= {"customer": b.customer, "api_key": b.key} if name == "usage" else {}
    unknown = {"workspace": "ws_zzzzzzzz", "billing_entity": "be_zzzzzzzz", "customer": "cus_zzzzzzzz"}
    for param, value in names.items():
        answer = own.get(f"/v1/{name}", **{param: value})
        assert answer.status in (403, 404), (param, answer.body)
        if param in unknown:
            nothing = own.get(f"/v1/{name}", **{param: unknown[param]})
            assert (answer.status, answer.error["code"]) == (nothing.status, nothing.error["code"]), param


def test_a_customers_key_counts_its_own_usage_of_a_shared_trace_and_user(sides: Sides) -> None:
    for which in ({"trace": "job"}, {"user": "anna"}):
        answer = Caller(sides.acme.secret).get("/v1/usage", **which)
        assert [series["total"] for series in answer.json["data"]] == ["100"], which


@pytest.mark.parametrize(
    "address",
    [
        "/customers/{a}/payers/{payer}/top-up",
        "/customers/{a}/payers/{payer}/adjust",
        "/customers/{a}/payers/{payer}/grant",
        "/customers/{a}/grants/{grant}",
        "/customers/{a}/grants/{payer}",
    ],
)
def test_pages_of_one_customer_reach_nothing_of_another(sides: Sides, address: str) -> None:
    before = everything()
    finance = Client()
    finance.force_login(add_to_staff(create_user(email="f@operator.example"), "finance"))
    a, b = sides.acme, sides.rival
    path = address.format(a=a.customer, payer=b.payer, grant=b.grant)
    assert finance.get(path).status_code == 404
    body = {"amount": "5", "reason": "r", "kind": "paid", "operation": "x"}
    assert finance.post(path, body).status_code in (404, 405)
    assert everything() == before


def patterns(urls: Any, prefix: str = "") -> list[str]:
    found = []
    for one in urls:
        if isinstance(one, URLResolver):
            found += patterns(one.url_patterns, f"{prefix}{one.pattern}")
        elif isinstance(one, URLPattern):
            found.append(f"{prefix}{one.pattern}")
    return found


def test_every_page_with_another_customers_ids_is_closed_to_a_member(sides: Sides) -> None:
    user = create_user(email="m@acme.example")
    add_member(user, sides.acme.tenant.customer, "owner")
    member, b = Client(), sides.rival
    member.force_login(user)
    values = {
        "public_id": (b.charge, b.charge.replace("ch_", "evt_"), b.grant),
        "reference": (b.customer, str(b.tenant.customer.external_id)),
        "payer_id": (b.payer,),
        "operation": ("top-up",),
        "name": ("job",),
        "action": ("release",),
    }
    pages = [one for one in patterns(get_resolver().url_patterns) if "<" in one and not one.startswith("v1/")]
    pages = [one for one in pages if not one.startswith(("static", "admin", "media", "demo", "accounts/"))]
    assert len(pages) >= 15
    for page in pages:
        for choice in range(3):
            path = page
            for name, options in values.items():
                for kind in ("str:", "path:", ""):
                    path = path.replace(f"<{kind}{name}>", options[choice % len(options)])
            if "<" in path:
                continue
            answer = member.get(f"/{path}")
            assert answer.status_code in (302, 404, 405), path
            assert answer.status_code != 302 or "login" in answer["Location"], path
            assert b.tenant.customer.name.encode() not in answer.content, path
