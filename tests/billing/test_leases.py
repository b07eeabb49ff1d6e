"""`/v1/leases`: the worked table of docs/algorithms/leases.md, and what it does not show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from accounts.models import BillingEntity, PayerAssignment, Workspace
from billing.models import Authorization, Charge, CreditGrant, LedgerAccount, Overspend
from billing.subscriptions import start_subscription
from billing.wallets import grant_credit, top_up
from core import clock
from core.numbers import plain
from metering.models import UsageEvent
from tests.billing.authorizing import NOW, PER_TOKEN, Desk, desks, error_of, table
from tests.billing.world import make_meter, make_version

pytestmark = pytest.mark.django_db
DOCUMENT = Path(__file__).parents[2] / "docs/algorithms/leases.md"
ROWS = table("reports", DOCUMENT)


@pytest.fixture(autouse=True)
def _books() -> Iterator[None]:
    yield from desks()  # type: ignore[misc]


class Leasing(Desk):
    """A desk with words for leases."""

    def draw(self, amount: str = "5", **fields: Any) -> Any:
        body: dict[str, Any] = {"amount": amount, "expires_in": 60} | fields
        if "billing_entity" not in fields:
            body["workspace"] = str(self.tenant.workspace.external_id)
        return self.api.post("/v1/leases", body)

    def drawn(self, amount: str = "5", **fields: Any) -> str:
        answer = self.draw(amount, **fields)
        assert answer.status_code == 201, answer.content
        return str(answer.json()["id"])

    def tell(self, lease: str, *costs: str, **fields: Any) -> Any:
        """Report calls that cost so much."""
        events = [self.event(plain(Decimal(cost) * 100), **fields) for cost in costs]
        return self.send(lease, events)

    def send(self, lease: str, events: list[dict[str, Any]]) -> Any:
        answer = self.api.post(f"/v1/leases/{lease}/report", {"events": events})
        assert answer.status_code == 200, answer.content
        return answer.json()

    def give_back(self, lease: str) -> Any:
        return self.api.post(f"/v1/leases/{lease}/return", {}).json()

    def lease(self, lease: str) -> Any:
        return self.api.get(f"/v1/leases/{lease}").json()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: " ".join(row.values()))
def test_a_lease_comes_to_what_its_row_says(row: dict[str, str]) -> None:
    desk = Leasing("10")
    lease = desk.drawn("5")
    for batch in row["reports"].split("; ") if row["reports"] != "-" else ():
        costs = batch.split(", ")
        assert desk.tell(lease, *costs)["accepted"] == len(costs)
    if row["then"] == "returned":
        assert desk.give_back(lease)["status"] == "returned"
    elif row["then"] == "expired":
        desk.later(seconds=60)
    if row["spent"] != "0":
        assert desk.charge(plain(Decimal(row["spent"]) * 100)).status_code == 201
    if row["late"] != "-":
        assert desk.tell(lease, row["late"])["accepted"] == 1
    shown = desk.lease(lease)
    found = {name: shown[name] for name in ("status", "used", "held", "exposure")}
    assert found == {"status": row["then"], **{name: row[name] for name in ("used", "held", "exposure")}}
    assert desk.balance() == (row["settled"], row["held"], row["available"])
    overspent = [(plain(found.amount), found.cause) for found in Overspend.objects.all()]
    assert overspent == ([] if row["overspend"] == "0" else [(row["overspend"], "lease")])


def test_a_draw_is_a_hold_and_is_refused_as_one() -> None:
    desk = Leasing("10")
    answer = desk.draw("6")
    body = answer.json()
    assert body["id"].startswith("lease_")
    assert (body["status"], body["amount"], body["currency"]) == ("open", "6", "USD")
    assert body["balance"] == {"available": "4", "settled": "10", "held": "6"}
    refused = desk.draw("4.01")
    assert (refused.status_code, refused.json()["denial"]["reason"]) == (402, "insufficient_funds")
    assert desk.charge(401).status_code == 402
    assert desk.authorize(401).status_code == 402
    assert desk.draw("4", billing_entity=desk.tenant.payer.public_id).status_code == 201


def test_the_same_key_again_draws_nothing_more() -> None:
    desk = Leasing("10")
    first = desk.draw("5", idempotency_key="k")
    again = desk.draw("5.0", idempotency_key="k")
    assert (first.status_code, again.status_code, again.json()) == (201, 200, first.json())
    body = {"workspace": desk.tenant.workspace.external_id, "amount": "5", "expires_in": 60}
    by_header = {"Idempotency-Key": "k"}
    assert desk.api.post("/v1/leases", body, **by_header).json() == first.json()
    assert error_of(desk.draw("4", idempotency_key="k")) == (409, "idempotency_conflict")
    differing = desk.api.post("/v1/leases", body | {"idempotency_key": "x"}, **by_header)
    assert error_of(differing) == (400, "idempotency_key_mismatch")
    hold = {"workspace": body["workspace"], "amount": "5", "expires_in": 60, "idempotency_key": "k"}
    assert error_of(desk.api.post("/v1/authorizations", hold)) == (409, "idempotency_conflict")
    reported = desk.report(1, idempotency_key="k")
    assert (reported["rejected"], reported["errors"][0]["error"]["code"]) == (1, "idempotency_conflict")
    assert Authorization.objects.count() == 1


def test_each_call_counts_once_however_often_it_is_reported() -> None:
    desk = Leasing("10")
    lease = desk.drawn("5")
    events = [desk.event(100), desk.event(150)]
    first = desk.send(lease, events)
    again = desk.send(lease, [*events, events[0], desk.event(50)])
    assert (first["accepted"], first["held"], first["used"]) == (2, "2.5", "2.5")
    assert (again["accepted"], again["duplicates"], again["held"]) == (1, 3, "2")
    changed = events[0] | {"properties": {"tokens": 1}}
    other = desk.send(lease, [changed, {"idempotency_key": "bad"}])
    assert (other["rejected"], other["held"]) == (2, "2")
    assert [error["index"] for error in other["errors"]] == [0, 1]
    assert Charge.objects.count() == 3
    assert set(UsageEvent.objects.values_list("source", flat=True)) == {"lease"}


def test_an_event_of_before_the_lease_is_not_charged_to_it() -> None:
    desk = Leasing("10")
    event = desk.event(100)
    assert desk.api.post("/v1/charges", event).status_code == 201
    lease = desk.drawn("5")
    assert desk.send(lease, [event])["duplicates"] == 1
    assert desk.lease(lease)["used"] == "0"


def test_a_return_again_changes_nothing_and_none_is_needed() -> None:
    desk = Leasing("10")
    lease, other = desk.drawn("5"), desk.drawn("3")
    first = desk.give_back(lease)
    assert first["balance"] == {"available": "7", "settled": "10", "held": "3"}
    assert desk.give_back(lease) == first
    desk.later(seconds=60)
    assert desk.give_back(other)["status"] == "expired"
    assert (desk.balance(), LedgerAccount.objects.get(kind="wallet").held) == (("10", "0", "10"), 0)


def test_calls_of_the_leases_workspace_are_paid_by_who_gave_it() -> None:
    desk = Leasing("10")
    lease = desk.drawn("5")
    payer, space = desk.tenant.payer, desk.tenant.workspace
    heir = BillingEntity.objects.create(
        customer=payer.customer, name="Heir", currency="USD", overdraft=Decimal(0), created_at=desk.now
    )
    PayerAssignment.objects.filter(workspace=space).update(ends_at=desk.now)
    PayerAssignment.objects.create(
        customer=payer.customer,
        workspace=space,
        billing_entity=heir,
        starts_at=desk.now,
        created_at=desk.now,
    )
    desk.later(seconds=1)
    assert desk.tell(lease, "2")["held"] == "3"
    assert LedgerAccount.objects.get(billing_entity_id=payer.pk, kind="wallet").balance == 8
    other = Workspace.objects.create(customer=payer.customer, name="Other", created_at=desk.now)
    PayerAssignment.objects.create(
        customer=payer.customer, workspace=other, billing_entity=heir, created_at=desk.now
    )
    answer = desk.tell(lease, "1", workspace=other.public_id)
    assert (answer["accepted"], answer["held"]) == (1, "3")
    assert UsageEvent.objects.get(workspace_id=other.pk).billing_entity_id == heir.pk


def test_a_call_that_names_another_payer_is_not_charged_to_who_gave_a_lease_of_its_own() -> None:
    desk = Leasing("10")
    payer = desk.tenant.payer
    fields = {"currency": "USD", "overdraft": Decimal(0), "created_at": desk.now}
    other = BillingEntity.objects.create(customer=payer.customer, name="Other", **fields)
    start_subscription(other, desk.version, starts_at=desk.now)
    top_up(other, Decimal(4))
    lease = desk.drawn("5", billing_entity=payer.public_id)
    assert desk.tell(lease, "2", billing_entity=other.public_id)["held"] == "5"
    assert desk.tell(lease, "1", billing_entity=payer.public_id)["held"] == "4"
    wallets = LedgerAccount.objects.filter(kind="wallet").values_list("billing_entity_id", "balance")
    assert dict(wallets) == {payer.pk: 9, other.pk: 2}


def test_the_list_shows_leases_and_no_authorizations() -> None:
    desk = Leasing("10")
    hold = desk.hold(100)
    still, back, over = desk.drawn("1", expires_in=90), desk.drawn("1"), desk.drawn("1", expires_in=5)
    desk.give_back(back)
    desk.later(seconds=5)

    def ids(**params: str) -> list[str]:
        return [row["id"] for row in desk.api.get("/v1/leases", **params).json()["data"]]

    assert set(ids()) == {still, back, over}
    assert (ids(status="open"), ids(status="returned"), ids(status="expired")) == ([still], [back], [over])
    held = desk.api.get("/v1/authorizations").json()["data"]
    assert [row["id"] for row in held] == [hold]
    for path in (f"/v1/leases/{hold}", f"/v1/authorizations/{still}", "/v1/leases/lease_1"):
        assert desk.api.get(path).status_code == 404
    uuid = still.removeprefix("lease_")
    assert error_of(desk.capture(f"auth_{uuid}", 1)) == (404, "not_found")


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"amount": None}, "missing_field", "amount"),
        ({"amount": "0"}, "invalid_amount", "amount"),
        ({"amount": 5}, "invalid_type", "amount"),
        ({"expires_in": 86_401}, "invalid_expires_in", "expires_in"),
        ({"event": "completion"}, "unknown_field", "event"),
        ({"workspace": None}, "missing_field", "workspace"),
    ],
)
def test_a_bad_lease_names_its_field(fields: dict[str, Any], code: str, param: str) -> None:
    desk = Leasing("10")
    body: dict[str, Any] = {"workspace": desk.tenant.workspace.external_id, "amount": "1"} | fields
    answer = desk.api.post("/v1/leases", body)
    assert (*error_of(answer), answer.json()["error"]["param"]) == (400, code, param)


def test_a_call_that_another_pays_for_is_paid_with_what_was_good_when_it_happened() -> None:
    """It is a report like any other: credit that came after it does not pay for it, as it would for a call
    of the lease."""
    desk = Leasing("10")
    lease, customer = desk.drawn("5"), desk.tenant.payer.customer
    fields = {"currency": "USD", "overdraft": Decimal(0), "created_at": desk.now}
    heir = BillingEntity.objects.create(customer=customer, name="Heir", **fields)
    start_subscription(heir, desk.version, starts_at=desk.now)
    space = Workspace.objects.create(customer=customer, name="Other", created_at=desk.now)
    PayerAssignment.objects.create(
        customer=customer, workspace=space, billing_entity=heir, created_at=desk.now
    )
    first, happened_at = top_up(heir, Decimal(4)), desk.now.isoformat()
    desk.later(seconds=10)
    grants = [grant_credit(payer, Decimal(3), priority=1) for payer in (heir, desk.tenant.payer)]
    desk.tell(lease, "2", workspace=space.public_id, occurred_at=happened_at)
    desk.tell(lease, "1", occurred_at=happened_at)
    left = CreditGrant.objects.in_bulk([first.grant_id, *(grant.pk for grant in grants)])
    assert [left[pk].remaining for pk in (first.grant_id, *(grant.pk for grant in grants))] == [2, 3, 2]


def test_what_a_call_gives_back_is_not_reserved_again_and_no_exposure() -> None:
    clock.use(lambda: NOW)
    make_meter()
    tiers = [{"up_to": "300", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}]
    volume = {"key": "tok", "meter": "tokens", "model": "volume", "tiers": tiers}
    desk = Leasing("10", version=make_version([volume]))
    lease = desk.drawn("5")
    assert desk.tell(lease, "3")["exposure"] == "2"
    shown = desk.tell(lease, "1")  # 400 at 0.005: 1 less than before
    assert (shown["used"], shown["held"], shown["exposure"]) == ("2", "2", "2")
    desk.later(seconds=60)
    assert desk.lease(lease)["exposure"] == "3"


@pytest.mark.parametrize("batches", [1, 2])
def test_what_a_call_frees_of_expired_credit_is_gone_for_the_next_one_in_its_batch_too(batches: int) -> None:
    clock.use(lambda: NOW)
    make_meter()
    make_meter("images")
    image = {"key": "img", "meter": "images", "model": "per_unit", "unit_price": "0.01"}
    desk = Leasing(None, version=make_version([PER_TOKEN, image]))
    grant_credit(desk.tenant.payer, Decimal(10), expires_at=desk.now + timedelta(seconds=30))
    grant_credit(desk.tenant.payer, Decimal(4), priority=1, components=["img"])
    lease = desk.drawn("8")
    desk.later(seconds=30)
    assert desk.balance() == ("12", "8", "4")
    events = [desk.event(properties={"images": 400}), desk.event(600)]
    for batch in [events] if batches == 1 else [[event] for event in events]:
        desk.send(lease, batch)
    assert desk.balance() == ("-2", "0", "-2")
    assert Overspend.objects.get().amount == 2
