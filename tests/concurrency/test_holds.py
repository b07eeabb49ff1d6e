"""Holds under many hands: no money is promised twice, and a hold ends once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from billing import authorizations
from billing.charging import CaptureTerms, Charged, ChargeRequest, Failed, Mode, Over, charge_many
from billing.models import Authorization, Charge, LedgerAccount, Overspend
from billing.wallets import top_up
from core import clock
from core.errors import TollgateError
from core.ids import hot_row, public_id
from metering.events import parse_event
from pricing.models import PlanVersion
from tests.billing.world import Tenant, balance, make_meter, make_tenant, make_version
from tests.concurrency.callers import Api, call
from tests.concurrency.crowd import at_once, deal
from tests.concurrency.interleaving import meet_after_reading

PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    yield
    clock.use(None)


@pytest.fixture
def version() -> Iterator[PlanVersion]:
    """Made at NOW: a meter counts what was recorded since it was frozen."""
    clock.use(lambda: NOW)
    make_meter()
    made = make_version([PER_TOKEN])
    clock.use(None)
    yield made
    clock.use(None)


def hold(api: Api, tenant: Tenant, key: str, tokens: int = 1, **fields: Any) -> str:
    answer = api.authorize(call(tenant, key, tokens) | fields)
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def held(tenant: Tenant) -> Decimal:
    account: LedgerAccount = LedgerAccount.objects.get(billing_entity_id=tenant.payer.pk, kind="wallet")
    return Decimal(account.held)


def statuses(works: Sequence[Callable[[], Any]]) -> Counter[int]:
    return Counter(answer.status_code for answer in at_once(works))


def test_fifty_authorizations_for_the_last_money_get_it_once(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="0.07", overdraft=Decimal(0))
    works = [partial(api.authorize, call(tenant, f"k{number}")) for number in range(50)]
    assert statuses(works) == {201: 7, 402: 43}
    assert (held(tenant), balance(tenant)) == (Decimal("0.07"), Decimal("0.07"))
    assert api.charge(call(tenant, "charge")).status_code == 402


def test_charges_and_holds_together_never_pass_the_floor(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="0.40", overdraft=Decimal(0))
    holds = [partial(api.authorize, call(tenant, f"h{number}")) for number in range(40)]
    charges = [partial(api.charge, call(tenant, f"c{number}")) for number in range(40)]
    assert statuses([*holds, *charges])[201] == 40
    assert balance(tenant) == held(tenant)
    open_holds = [row.public_id for row in Authorization.objects.all()]
    assert statuses([partial(api.capture, one, 1) for one in open_holds]) == {201: len(open_holds)}
    assert (balance(tenant), held(tenant)) == (0, 0)
    assert not Overspend.objects.exists()


def test_holds_of_an_invoiced_payer_stop_at_its_credit_limit(version: PlanVersion, api: Api) -> None:
    limit = Decimal("0.25")
    tenant = make_tenant(version, settlement="invoice_only", credit_limit=limit)
    works = [partial(api.authorize, call(tenant, f"k{number}")) for number in range(50)]
    assert statuses(works) == {201: 25, 402: 25}
    ids = [row.public_id for row in Authorization.objects.all()]
    assert statuses([partial(api.capture, one, 1) for one in ids]) == {201: 25}
    assert balance(tenant, "receivable") == -limit


@pytest.mark.parametrize("keys", [["a", "b"], ["a", "a"], [None, None], ["a", None, "b", None]])
def test_two_captures_at_once_charge_once(version: PlanVersion, api: Api, keys: list[str | None]) -> None:
    tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
    for number in range(10):
        one = hold(api, tenant, f"hold-{number}", 100)
        bodies = [{} if key is None else {"idempotency_key": f"{key}-{number}"} for key in keys]
        answers = at_once([partial(api.capture, one, 100, **body) for body in bodies])
        found = Counter(answer.status_code for answer in answers)
        assert found[201] == 1
        assert found[200] + found[409] == len(keys) - 1
        winner = next(answer for answer in answers if answer.status_code == 201)
        assert all(answer.json() == winner.json() for answer in answers if answer.status_code == 200)
    assert (Charge.objects.count(), balance(tenant), held(tenant)) == (10, 0, 0)


def test_captures_of_two_processes_meet_at_the_payers_lock(
    version: PlanVersion, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
    customer_id, uuid = hot_row("auth", hold(api, tenant, "call", 500))
    meeting = meet_after_reading(monkeypatch)

    def capture(key: str) -> Any:
        payer = public_id("be", tenant.payer.pk)
        raw = {"idempotency_key": key, "event": "completion", "billing_entity": payer}
        event = parse_event(raw | {"properties": {"tokens": 500}}, clock.now())
        terms = CaptureTerms(customer_id, uuid, over=Over.OVERDRAFT)
        return charge_many([ChargeRequest(event, Mode.ASK, authorization=terms)])[0]

    first, second = at_once([partial(capture, "one"), partial(capture, "two")])
    assert not meeting.has_happened
    assert {type(first), type(second)} == {Charged, Failed}
    assert (balance(tenant), held(tenant)) == (5, 0)


def test_a_capture_against_a_void_leaves_one_of_them(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
    captured = 0
    for number in range(20):
        one = hold(api, tenant, f"hold-{number}", 10)
        capture, void = at_once([partial(api.capture, one, 10), partial(api.void, one)])
        assert (capture.status_code, void.status_code) in {(201, 409), (409, 200)}
        captured += capture.status_code == 201
        row = Authorization.objects.get(idempotency_key=f"hold-{number}")
        assert row.status == ("captured" if capture.status_code == 201 else "voided")
    assert (Charge.objects.count(), held(tenant)) == (captured, 0)
    assert balance(tenant) == 10 - Decimal("0.1") * captured


def test_a_capture_against_expiry_gets_the_money_or_hears_of_it(version: PlanVersion, api: Api) -> None:
    """The clock passes the end of all holds while they are captured, and others wait for the money."""
    now = [NOW]
    clock.use(lambda: now[0])
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    ids = [hold(api, tenant, f"hold-{number}", 10, expires_in=60) for number in range(10)]
    now[0] = NOW + timedelta(seconds=59)

    def pass_by() -> Any:
        now[0] = NOW + timedelta(seconds=60)
        return api.charge(call(tenant, "other", 50))

    works: list[Callable[[], Any]] = [partial(api.capture, one, 10) for one in ids]
    random.Random(1).shuffle(works)
    everything: list[Callable[[], Any]] = [*works, pass_by]
    answers = at_once(everything)
    captures = Counter(answer.status_code for answer in answers[:-1])
    assert captures.keys() <= {201, 409}
    spent = Decimal("0.1") * captures[201] + Decimal("0.5") * (answers[-1].status_code == 201)
    assert balance(tenant) == 1 - spent >= 0
    assert authorizations.expire_due(now[0]) in (0, 1)
    assert held(tenant) == 0
    assert not Overspend.objects.exists()


def test_a_sweep_beside_the_path_frees_each_hold_once(version: PlanVersion, api: Api) -> None:
    now = [NOW]
    clock.use(lambda: now[0])
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    for number in range(100):
        hold(api, tenant, f"hold-{number}", 1, expires_in=60)
    now[0] = NOW + timedelta(seconds=60)
    sweeps = [partial(authorizations.expire_due, now[0])] * 4
    charges = [partial(api.charge, call(tenant, f"c{number}", 10)) for number in range(20)]
    works: list[Callable[[], Any]] = [*sweeps, *charges]
    answers = Counter(answer.status_code for answer in at_once(works)[4:])
    assert answers == {201: 10, 402: 10}
    assert (balance(tenant), held(tenant)) == (0, 0)
    assert set(Authorization.objects.values_list("status", flat=True)) == {"expired"}


def test_a_random_mix_ends_with_nothing_held_and_nothing_overspent(version: PlanVersion, api: Api) -> None:
    """Eight callers on two payers for whom money runs out now and then; each ends what it began."""
    tenants = [make_tenant(version, balance="2", overdraft=Decimal(0)) for _ in range(2)]

    def work(seed: int) -> None:
        dice = random.Random(seed)
        mine: list[str] = []
        for number in range(30):
            tenant, tokens = dice.choice(tenants), dice.randint(1, 20)
            what = dice.random()
            if what < 0.4:
                answer = api.authorize(call(tenant, f"{seed}-h{number}", tokens))
                assert answer.status_code in (201, 402)
                mine += [answer.json()["id"]] if answer.status_code == 201 else []
            elif what < 0.6:
                assert api.charge(call(tenant, f"{seed}-c{number}", tokens)).status_code in (201, 402)
            elif what < 0.65:
                top_up(tenant.payer, Decimal("0.05"))
            elif mine:
                one = mine.pop(dice.randrange(len(mine)))
                answer = api.void(one) if what < 0.75 else _capture(one, tokens, dice)
                assert answer.status_code in (200, 201)
        for one in mine:
            assert api.void(one).status_code == 200

    def _capture(one: str, tokens: int, dice: random.Random) -> Any:
        answer = api.capture(one, tokens, over=dice.choice(["reject", "cap", "overdraft"]))
        return answer if answer.status_code == 201 else api.capture(one, tokens, over="cap")

    at_once([partial(work, seed) for seed in range(8)])
    for tenant in tenants:
        assert balance(tenant) >= held(tenant) == 0
    assert not Overspend.objects.exists()
    assert not Authorization.objects.filter(status="authorized").exists()


def test_extending_and_capturing_at_once_settles_each_hold_once(version: PlanVersion, api: Api) -> None:
    tenant = make_tenant(version, balance="10", overdraft=Decimal(0))
    ids = [hold(api, tenant, f"hold-{number}", 10) for number in range(10)]
    rows = list(Authorization.objects.all())

    def extend(row: Authorization) -> str:
        try:
            return authorizations.extend(row, timedelta(hours=1)).hold.status
        except TollgateError as error:
            return error.code

    works: list[Callable[[], Any]] = [partial(api.capture, one, 10) for one in ids]
    answers = at_once(works + [partial(extend, row) for row in rows])
    assert {answer.status_code for answer in answers[:10]} == {201}
    assert set(answers[10:]) <= {"authorized", "authorization_captured"}
    assert (held(tenant), balance(tenant)) == (0, 9)


def test_calls_dealt_to_many_hands_share_commits(version: PlanVersion, api: Api) -> None:
    """Authorize, capture: as many pairs as there is money for, from sixteen callers at once."""
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))

    def run(keys: list[str]) -> Counter[int]:
        found: Counter[int] = Counter()
        for key in keys:
            answer = api.authorize(call(tenant, key))
            if answer.status_code == 201:
                answer = api.capture(answer.json()["id"], 1)
            found[answer.status_code] += 1
        return found

    hands = deal([f"key-{number}" for number in range(160)], 16)
    found = sum(at_once([partial(run, keys) for keys in hands]), Counter())
    assert found[201] == 100
    assert found[402] == 60
    assert (balance(tenant), held(tenant), Charge.objects.count()) == (0, 0, 100)


def test_calls_of_a_lease_reported_by_many_at_once_are_drawn_once(version: PlanVersion, api: Api) -> None:
    """Every report is sent by three, in orders of their own, while the lease is returned."""
    tenant = make_tenant(version, balance="1", overdraft=Decimal(0))
    space = tenant.workspace.external_id
    drawn = api._post("/v1/leases", {"workspace": space, "amount": "0.60"})
    lease = drawn.json()["id"]
    events = [call(tenant, f"call-{number}", 2) for number in range(30)]

    def report(seed: int) -> int:
        mine = random.Random(seed).sample(events, len(events))
        taken = 0
        for start in range(0, len(mine), 5):
            answer = api._post(f"/v1/leases/{lease}/report", {"events": mine[start : start + 5]})
            assert answer.status_code == 200, answer.content
            taken += answer.json()["accepted"]
        return taken

    others = [partial(api.charge, call(tenant, f"other-{number}", 10)) for number in range(10)]
    works: list[Callable[[], Any]] = [partial(report, 1), partial(report, 2), partial(report, 3), *others]
    answers = at_once(works)
    assert sum(answers[:3]) == 30
    assert Counter(answer.status_code for answer in answers[3:]) == {201: 4, 402: 6}
    row = Authorization.objects.get()
    assert (row.captured_amount, row.held) == (Decimal("0.60"), 0)
    assert (balance(tenant), held(tenant)) == (0, 0)
    returns = [partial(api._post, f"/v1/leases/{lease}/return", {})] * 3
    assert statuses(returns) == {200: 3}
    assert not Overspend.objects.exists()
