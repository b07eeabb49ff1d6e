"""The path's statements are of a fixed number, whatever that of events, meters, grants, limits and levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from accounts.keys import issue_api_key
from accounts.models import BillingEntity
from accounts.organizations import create_organization
from billing.charging import Charged, ChargeRequest, Mode, charge_many, path
from billing.charging.calm import doubt
from billing.limits import catalogue
from billing.limits.verbs import create_limit, owner_of
from billing.models import LimitCounter
from billing.store_limits import MOVE_COUNTERS, READ_COUNTERS
from billing.wallets import grant_credit
from core import clock
from core.pipeline import Pipeline
from metering.models import Meter
from pricing.models import PlanVersion
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
LIMITS = ("spendlimit", "limitcounter")
QUOTA = {"feature": "quota", "type": "metered", "meter": "tokens", "limit": "1000000"}
_keys = count(1)


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    clock.use(lambda: START)
    yield
    clock.use(None)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that go over the path's own pipeline, in their order."""
    statements: list[str] = []
    execute = Pipeline.execute

    def note(self: Pipeline, query: str, params: Sequence[Any] = ()) -> Any:
        statements.append(query)
        return execute(self, query, params)

    monkeypatch.setattr(Pipeline, "execute", note)
    return statements


def component(meter: str) -> dict[str, str]:
    return {"key": meter, "meter": meter, "model": "per_unit", "unit_price": "0.01"}


@pytest.fixture
def version() -> PlanVersion:
    make_meter("tokens")
    make_meter("images")
    return make_version([component("tokens"), component("images")])


def calls(tenant: Tenant, number: int, mode: Mode = Mode.ASK, **fields: Any) -> list[ChargeRequest]:
    properties = {"tokens": 1, "images": 1}
    return [request(tenant, f"k{next(_keys)}", mode, properties=properties, **fields) for _ in range(number)]


def bound_everything(tenant: Tenant) -> str:
    """Twenty limits at all levels, windows and kinds; the secret of a key that has some of them."""
    top = create_organization(customer=tenant.customer, name="top")
    division = create_organization(customer=tenant.customer, name="division", parent=top)
    tenant.workspace.organization = division
    tenant.workspace.save()
    issued = issue_api_key(workspace=tenant.workspace, name="k")
    owners = (
        owner_of(api_key=issued.key),
        owner_of(workspace=tenant.workspace),
        owner_of(billing_entity=tenant.payer, meter=Meter.objects.get(key="tokens")),
        owner_of(billing_entity=tenant.payer, meter=Meter.objects.get(key="images")),
        owner_of(organization=division),
        owner_of(organization=top),
        owner_of(billing_entity=tenant.payer),
    )
    for owner in owners:
        create_limit(owner, Decimal(10_000))
        create_limit(owner, Decimal(10_000), window="day", kind="soft")
        create_limit(owner, Decimal(10_000), window="rolling", hours=24)
    assert issued.secret is not None
    return issued.secret


def add_payer(tenant: Tenant) -> None:
    """A second payer, so that the customer's limits are no longer those of one."""
    BillingEntity.objects.create(customer=tenant.customer, name="Other", currency="USD", created_at=START)


def run(requests: Sequence[ChargeRequest], sent: list[str]) -> list[str]:
    """The statements of a batch of which everything is allowed, warm."""
    sent.clear()
    outcomes = charge_many(list(requests))
    assert len(outcomes) == len(requests)
    return list(sent)


def test_the_number_is_fixed_whatever_there_is(version: PlanVersion, sent: list[str]) -> None:
    tenant = make_tenant(version, balance="100", overdraft=Decimal(0))
    add_payer(tenant)
    run(calls(tenant, 1), sent)
    plain = run(calls(tenant, 1), sent)
    assert not any(name in query for query in plain for name in LIMITS)

    create_limit(owner_of(workspace=tenant.workspace), Decimal(10_000), window="rolling", hours=5)
    run(calls(tenant, 1), sent)
    one_limit = run(calls(tenant, 1), sent)
    assert len(one_limit) == len(plain) + 3  # lock, read, write

    secret = bound_everything(tenant)
    for _ in range(3):
        grant_credit(tenant.payer, Decimal(1))
    met = run(calls(tenant, 1, workspace=None, api_key=secret), sent)
    assert met.count(READ_COUNTERS) == 1  # rows that it has not met are looked up by name
    for number in (1, 2, 40):
        assert len(run(calls(tenant, number, workspace=None, api_key=secret), sent)) == len(one_limit)


def test_a_customers_only_payer_locks_no_limit(version: PlanVersion, sent: list[str]) -> None:
    tenant = make_tenant(version, balance="100", overdraft=Decimal(0))
    run(calls(tenant, 1), sent)
    plain = run(calls(tenant, 1), sent)
    secret = bound_everything(tenant)
    for _ in range(2):
        run(calls(tenant, 1, workspace=None, api_key=secret), sent)
    alone = run(calls(tenant, 5, workspace=None, api_key=secret), sent)
    assert len(alone) == len(plain) + 2  # read, write
    add_payer(tenant)
    for _ in range(2):
        run(calls(tenant, 1, workspace=None, api_key=secret), sent)
    assert len(run(calls(tenant, 5, workspace=None, api_key=secret), sent)) == len(plain) + 3


def test_many_payers_of_one_organization_cost_no_more(version: PlanVersion, sent: list[str]) -> None:
    tenants = [make_tenant(version, balance="100") for _ in range(5)]
    for tenant in tenants:
        bound_everything(tenant)
        add_payer(tenant)
    requests = [calls(tenant, 1)[0] for tenant in tenants]
    run(requests, sent)
    alone = run(calls(tenants[0], 1), sent)
    assert len(run([calls(tenant, 1)[0] for tenant in tenants], sent)) == len(alone)


def test_a_quota_is_read_and_written_with_the_limits(sent: list[str]) -> None:
    make_meter("tokens")
    tenant = make_tenant(make_version([component("tokens")], entitlements=[QUOTA]), balance="100")
    run(calls(tenant, 1), sent)
    quota = run(calls(tenant, 3), sent)
    counted = [query for query in quota if "limitcounter" in query]
    assert len(counted) == 2
    create_limit(owner_of(workspace=tenant.workspace), Decimal(10_000))
    run(calls(tenant, 1), sent)
    doubt()
    assert len(run(calls(tenant, 3), sent)) == len(quota)


def test_what_is_far_from_mattering_is_not_read(version: PlanVersion, sent: list[str]) -> None:
    """However many payers, limits and levels: what counts is written, by one statement."""
    tenants = [make_tenant(version, balance="100") for _ in range(5)]
    for tenant in tenants:
        run(calls(tenant, 1), sent)
    plain = run([calls(tenant, 1)[0] for tenant in tenants], sent)
    for tenant in tenants:
        tenant.workspace.organization = create_organization(customer=tenant.customer, name="group")
        tenant.workspace.save()
        create_limit(owner_of(workspace=tenant.workspace), Decimal(10_000), window="day")
        create_limit(owner_of(organization=tenant.workspace.organization), Decimal(10_000))
        create_limit(owner_of(billing_entity=tenant.payer), Decimal(10_000), window="rolling", hours=24)
    requests = [calls(tenant, 2) for tenant in tenants]
    for _ in range(2):
        run([calls(tenant, 1)[0] for tenant in tenants], sent)
    calm = run([call for both in requests for call in both], sent)
    assert len(calm) == len(plain) + 1
    assert calm.count(MOVE_COUNTERS) == 1
    assert {row.used for row in LimitCounter.objects.all()} == {Decimal("0.12")}


def test_alerts_cost_one_statement_however_many_fire(version: PlanVersion, sent: list[str]) -> None:
    tenant = make_tenant(version, balance="100")
    for window in ("billing_period", "day"):
        create_limit(owner_of(workspace=tenant.workspace), Decimal("0.10"), window=window, kind="soft")
    run(calls(tenant, 1), sent)
    doubt()
    quiet = run(calls(tenant, 1), sent)
    doubt()
    assert len(run(calls(tenant, 6), sent)) == len(quiet) + 1


def test_who_has_no_limit_is_not_looked_up_again(version: PlanVersion, sent: list[str]) -> None:
    tenant = make_tenant(version, balance="100")
    run(calls(tenant, 1), sent)
    book = catalogue._books[tenant.customer.pk]
    assert book.by_owner == {}
    run(calls(tenant, 1), sent)
    assert catalogue._books[tenant.customer.pk] is book


def test_a_counter_that_is_gone_when_it_is_written_undoes_the_transaction(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes it away without its lock; if one did, nothing would be lost."""
    tenant = make_tenant(version, balance="100")
    limit = create_limit(owner_of(workspace=tenant.workspace), Decimal(10))
    charge_many(calls(tenant, 1))
    decide = path._decide_and_write
    gone: list[int] = []

    def take_away_and_decide(*arguments: Any) -> Any:
        if not gone:
            gone.append(LimitCounter.objects.all().delete()[0])
        return decide(*arguments)

    monkeypatch.setattr(path, "_decide_and_write", take_away_and_decide)
    (outcome,) = charge_many(calls(tenant, 1))
    assert gone == [1]
    assert isinstance(outcome, Charged)
    assert LimitCounter.objects.get(counter=limit.counter).used == Decimal("0.04")


def test_a_row_that_was_met_and_is_gone_is_looked_up_by_name_again(
    version: PlanVersion, sent: list[str]
) -> None:
    """As after a restore, or where the transaction that made it was undone."""
    tenant = make_tenant(version, balance="100")
    limit = create_limit(owner_of(workspace=tenant.workspace), Decimal("0.06"))
    for _ in range(2):
        run(calls(tenant, 1), sent)
    LimitCounter.objects.all().delete()
    outcomes = [charge_many(calls(tenant, 1))[0] for _ in range(4)]
    assert [isinstance(outcome, Charged) for outcome in outcomes] == [True, True, True, False]
    assert LimitCounter.objects.get(counter=limit.counter).used == Decimal("0.06")


def test_a_row_that_is_another_counters_now_is_not_taken_for_the_one_that_was_met(
    version: PlanVersion,
) -> None:
    """A database that was restored gives its ids out again."""
    tenant = make_tenant(version, balance="100")
    limit = create_limit(owner_of(workspace=tenant.workspace), Decimal("0.10"))
    for _ in range(2):
        charge_many(calls(tenant, 1))
    row = LimitCounter.objects.get(counter=limit.counter)
    LimitCounter.objects.filter(pk=row.pk).update(counter="lim:0", used=Decimal(5))
    outcomes = [charge_many(calls(tenant, 1))[0] for _ in range(6)]
    assert [isinstance(outcome, Charged) for outcome in outcomes] == [True] * 5 + [False]
    assert LimitCounter.objects.get(pk=row.pk).used == 5


def test_what_one_process_has_met_another_may_have_changed(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="100")
    limit = create_limit(owner_of(workspace=tenant.workspace), Decimal("0.10"))
    for _ in range(2):
        charge_many(calls(tenant, 1))
    LimitCounter.objects.filter(counter=limit.counter).update(used=Decimal("0.07"))
    outcomes = [charge_many(calls(tenant, 1))[0] for _ in range(2)]
    assert [isinstance(outcome, Charged) for outcome in outcomes] == [True, False]
