"""The page of one hold: what it reserves and for whom, what became of it, its charges and their transfers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from accounts.keys import issue_api_key
from accounts.scoping import OPERATOR, Viewer
from accounts.users import add_member, create_user
from billing.limits.verbs import create_limit, owner_of
from billing.models import Charge
from billing.reports.hold import explain_hold, find_hold
from billing.reversals import reverse_event
from billing.wallets import grant_credit
from core import clock
from core.errors import NotFound
from metering.models import UsageEvent
from pricing.models import PlanVersion
from tests.api_client import Api
from tests.billing.pages.conftest import NOW, Sign, now_is, signed
from tests.billing.pages.reading import page, read
from tests.billing.world import Tenant, charge, make_meter, make_tenant, make_version

pytestmark = pytest.mark.django_db
D = Decimal


class Desk:
    """Calls of a tenant over the API; 500 tokens cost 4.00, for the first 100 are included."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant, self.api = tenant, Api()

    def hold(self, key: str = "h", tokens: int | None = 500, **fields: Any) -> str:
        """The id of an authorization."""
        body = {"idempotency_key": key, "workspace": self.tenant.workspace.external_id, "expires_in": 600}
        usage = {} if tokens is None else {"event": "completion", "properties": {"tokens": tokens}}
        return self._made("/v1/authorizations", body | usage | fields)

    def lease(self, amount: str = "5") -> str:
        """The id of a lease."""
        body = {"workspace": self.tenant.workspace.external_id, "amount": amount, "expires_in": 600}
        return self._made("/v1/leases", body)

    def do(self, hold: str, verb: str, status: int = 200, **body: Any) -> Any:
        """The answer to a verb of a hold."""
        noun = "leases" if hold.startswith("lease") else "authorizations"
        answer = self.api.post(f"/v1/{noun}/{hold}/{verb}", body)
        assert answer.status_code == status, answer.content
        return answer.json()

    def capture(self, hold: str, tokens: int, status: int = 201, **body: Any) -> Any:
        """The answer to a capture."""
        return self.do(hold, "capture", status, properties={"tokens": tokens}, **body)

    def _made(self, address: str, body: dict[str, Any]) -> str:
        answer = self.api.post(address, body)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["id"])


@pytest.fixture
def desk(acme: Tenant) -> Desk:
    return Desk(acme)


def test_an_open_hold_says_what_it_reserves_for_whom_and_until_when(
    staff: Client, acme: Tenant, desk: Desk
) -> None:
    key = issue_api_key(workspace=acme.workspace, name="backend").key
    hold = desk.hold(api_key=key.public_id)
    text = read(staff, f"/holds/{hold}")
    assert "USD 4.00 held for completion Authorized" in text
    assert f"{hold} · of {acme.payer.name}." in text
    assert "Held now USD 4.00 of USD 4.00" in text
    assert "not captured Expires in 10 minutes 15 Jan 2026, 07:10:00 EST" in text
    for fact in (
        f"Customer {acme.customer.name}",
        f"Payer {acme.payer.name} {acme.payer.public_id}",
        f"Workspace {acme.workspace.name} {acme.workspace.public_id}",
        f"API key backend {key.public_id}",
        "Event completion",
        "Answered with USD 16.00 available USD 20.00 in the wallet, USD 4.00 held",
        "Idempotency key h",
        "What was expected of completion, as it was sent",
        '"tokens": 500',
        "Price of tokens USD 4.00",
        "moves nothing in the ledger; its capture does",
        "Authorized USD 4.00 held until 15 Jan 2026, 07:10:00 EST",
    ):
        assert fact in text, fact
    assert f'href="/customers/{acme.customer.public_id}/payers#{acme.payer.public_id}"' in page(
        staff, f"/holds/{hold}"
    )


def test_a_hold_of_an_amount_alone_is_for_any_event(staff: Client, desk: Desk) -> None:
    text = read(staff, f"/holds/{desk.hold(tokens=None, amount='3')}")
    assert "USD 3.00 held for any event Authorized" in text
    assert "An amount was named, no usage." in text


def test_a_captured_one_leads_to_its_charge_event_and_entries_and_they_lead_back(
    staff: Client, desk: Desk
) -> None:
    hold = desk.hold()
    now_is(NOW + timedelta(minutes=2))
    charged = desk.capture(hold, 300, idempotency_key="a key of its own")
    markup, text = page(staff, f"/holds/{hold}"), read(staff, f"/holds/{hold}")
    assert "held for completion Captured" in text
    assert "Held now USD 0.00 of USD 4.00 Captured USD 2.00 Ended just now 15 Jan 2026, 07:02:00 EST" in text
    assert (
        "Captured USD 2.00 its usage was charged 15 Jan 2026, 07:02:00 EST Authorized USD 4.00 held" in text
    )
    assert "2.0 wallet revenue usage USD 2.00" in text
    row = Charge.objects.get()
    assert f'<a href="/charges/{row.public_id}">Charge 2</a>' in markup
    assert charged["id"] == row.public_id
    event = UsageEvent.objects.get()
    assert f'<a href="/events/{event.public_id}">its event</a>' in markup
    for address in (f"/charges/{row.public_id}", f"/events/{event.public_id}"):
        assert f'<a href="/holds/{hold}">' in page(staff, address)
    assert f"held before as {hold}" in read(staff, f"/charges/{row.public_id}")


def test_a_charge_without_a_hold_names_none(staff: Client, acme: Tenant, desk: Desk) -> None:
    desk.hold()
    charge(acme, "plain", properties={"tokens": 300})
    markup = page(staff, f"/charges/{Charge.objects.get().public_id}")
    assert "/holds/" not in markup
    assert "held before" not in markup


def test_one_that_was_capped_says_what_it_may_cost_at_most(staff: Client, desk: Desk) -> None:
    hold = desk.hold()
    desk.capture(hold, 900, over="cap")
    text = read(staff, f"/holds/{hold}")
    assert "capped: never more than USD 4.00" in text
    assert "leakage" in text


def test_its_end_without_usage_is_told_whoever_has_written_it_down(staff: Client, desk: Desk) -> None:
    voided, expired, extended = desk.hold("a"), desk.hold("b", 200), desk.hold("c", 200)
    now_is(NOW + timedelta(minutes=1))
    desk.do(voided, "void")
    desk.do(extended, "extend", expires_in=3600)
    now_is(NOW + timedelta(minutes=10))
    text = read(staff, f"/holds/{voided}")
    assert "Voided nothing more is held 15 Jan 2026, 07:01:00 EST Authorized USD 4.00" in text
    text = read(staff, f"/holds/{expired}")
    assert "Held now USD 0.00 of USD 1.00" in text
    assert "Expired just now 15 Jan 2026, 07:10:00 EST" in text
    assert "Expired free again 15 Jan 2026, 07:10:00 EST" in text
    text = read(staff, f"/holds/{extended}")
    assert "Held now USD 1.00" in text
    longer = "Extended made to last longer until 15 Jan 2026, 08:01:00 EST when is not kept"
    assert f"{longer} Authorized USD 1.00 held until 15 Jan 2026, 07:10:00 EST" in text


def test_a_capture_that_was_refused_stands_between(staff: Client, desk: Desk) -> None:
    hold = desk.hold()
    now_is(NOW + timedelta(minutes=1))
    desk.capture(hold, 900, 402, idempotency_key="too much")
    said = "Denied USD 8.00 a capture under too much cost more than was held 15 Jan 2026, 07:01:00 EST"
    assert said in read(staff, f"/holds/{hold}")
    assert f'<a href="/holds/{hold}">{hold}</a>' in page(staff, "/denials")
    now_is(NOW + timedelta(minutes=2))
    desk.capture(hold, 300)
    assert said in read(staff, f"/holds/{hold}")


def test_what_came_after_its_time_is_told_as_such(staff: Client, acme: Tenant, desk: Desk) -> None:
    late, refused = desk.hold("a"), desk.hold("b", 200)
    now_is(NOW + timedelta(minutes=11))
    desk.capture(late, 300)
    text = read(staff, f"/holds/{late}")
    assert "Captured USD 2.00 charged after its time 15 Jan 2026, 07:11:00 EST Expired free again" in text
    charge(acme, "spent", properties={"tokens": 2500})
    desk.capture(refused, 900, 409, idempotency_key="late one")
    assert "a capture under late one came after its time and was refused" in read(staff, f"/holds/{refused}")
    body = {"idempotency_key": "late one", "event": "completion", "properties": {"tokens": 3000}}
    desk.api.post("/v1/events", {"events": [body | {"workspace": acme.workspace.external_id}]})
    text = read(staff, f"/holds/{refused}")
    assert "lies below the floor that the payer may go to (late capture)" in text


def test_usage_that_nothing_prices_is_told_apart_from_what_costs_nothing(staff: Client, desk: Desk) -> None:
    hold = desk.hold(tokens=None, amount="3")
    desk.do(hold, "capture", 201, event="misspelt")
    assert "Captured USD 0.00 its usage was charged" in read(staff, f"/holds/{hold}")
    facts = explain_hold(OPERATOR, hold, clock.now())
    facts.hold.captured_amount = None  # as where nothing is sold at all, in a pause
    assert [step.word for step in facts.steps] == ["recorded", "authorized"]


def test_what_a_reversal_took_back_stands_beside_the_charge(staff: Client, desk: Desk) -> None:
    hold = desk.hold()
    desk.capture(hold, 300)
    reverse_event(UsageEvent.objects.get(), reason="Sent by mistake")
    facts = explain_hold(OPERATOR, hold, clock.now())
    assert [row.amount for row in facts.charges] == [D(2), D(-2)]
    assert [row.reason for row in facts.transfers] == ["usage", "reversal"]
    text = read(staff, f"/holds/{hold}")
    assert "Charge 2" in text
    assert "Charge 3" in text


def test_limits_quotas_and_grants_that_it_counts_in_are_named_while_it_is_open(staff: Client) -> None:
    per_token = [{"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}]
    quota = {"feature": "many", "type": "metered", "meter": "tokens", "limit": "100000", "reset": "month"}
    make_meter()
    tenant = make_tenant(make_version(per_token, entitlements=[quota]), balance="20", overdraft=D(0))
    limit = create_limit(owner_of(workspace=tenant.workspace), D(10), window="day")
    grant = grant_credit(tenant.payer, D(1), name="Tokens only", components=["tok"])
    hold = Desk(tenant).hold()
    text, markup = read(staff, f"/holds/{hold}"), page(staff, f"/holds/{hold}")
    assert f"{tenant.workspace.name} Spend limit, each day USD 5.00" in text
    assert "tokens Quota 500" in text
    assert "Tokens only Grant that is limited to components USD 1.00" in text
    customer = tenant.customer.public_id
    assert f'href="/customers/{customer}/limits/{limit.public_id}"' in markup
    assert f'href="/customers/{customer}/grants/{grant.public_id}"' in markup
    Desk(tenant).do(hold, "void")
    assert "Spend limit, each day" not in read(staff, f"/holds/{hold}")


def test_a_lease_says_what_was_reported_and_what_may_still_come(
    staff: Client, acme: Tenant, desk: Desk
) -> None:
    lease = desk.lease()
    call = {"idempotency_key": "call", "event": "completion", "properties": {"tokens": 300}}
    desk.do(lease, "report", events=[call | {"workspace": acme.workspace.external_id}])
    text = read(staff, f"/holds/{lease}")
    assert "USD 5.00 lease Open" in text
    assert "Held now USD 3.00 of USD 5.00 Used USD 2.00 reported so far Exposure USD 3.00" in text
    assert "Kind Lease for many calls" in text
    assert "is charged by itself and frees what it cost; USD 2.00 was so far." in text
    desk.do(lease, "return")
    text = read(staff, f"/holds/{lease}")
    assert "lease Returned" in text
    assert "Exposure USD 0.00" in text
    assert "Returned nothing more is held" in text
    now_is(NOW + timedelta(hours=1))
    assert "lease Returned" in read(staff, f"/holds/{lease}")


def test_the_list_of_holds_leads_to_each(staff: Client, desk: Desk) -> None:
    hold, lease = desk.hold(), desk.lease()
    markup = page(staff, "/holds")
    assert f'href="/holds/{hold}"' in markup
    assert f'href="/holds/{lease}"' in markup


@pytest.mark.parametrize(
    "made_up", ["auth_1", "lease_1", "x", "ch_1", "auth_" + "z" * 60, "auth_é", "auth_%00"]
)
def test_what_is_no_hold_is_not_found(staff: Client, acme: Tenant, made_up: str) -> None:
    assert staff.get(f"/holds/{made_up}").status_code == 404


def test_an_authorization_is_no_lease_nor_the_other_way_round(staff: Client, desk: Desk) -> None:
    hold, lease = desk.hold(), desk.lease()
    page(staff, f"/holds/{hold.replace('auth', 'lease')}", 404)
    page(staff, f"/holds/{lease.replace('lease', 'auth')}", 404)


def test_every_group_of_staff_may_look_and_nobody_else(sign_in: Sign, acme: Tenant, desk: Desk) -> None:
    hold = desk.hold()
    for group in ("admin", "finance", "ops", "read_only"):
        assert "Held now" in read(sign_in(group), f"/holds/{hold}")
    user = create_user(email="mo@acme.example")
    add_member(user, acme.customer, "owner")
    page(signed(user), f"/holds/{hold}", 404)
    assert "/accounts/login" in Client().get(f"/holds/{hold}")["Location"]


def test_another_customers_hold_is_not_found(acme: Tenant, version: PlanVersion, desk: Desk) -> None:
    hold, other = desk.hold(), make_tenant(version)
    assert find_hold(Viewer(customer_ids=frozenset({acme.customer.pk})), hold).public_id == hold
    for viewer in (Viewer(), Viewer(customer_ids=frozenset({other.customer.pk}))):
        with pytest.raises(NotFound):
            find_hold(viewer, hold)
