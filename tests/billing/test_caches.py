"""What each process keeps of configuration: nothing that was rolled back is obeyed, whatever its number.

Numbers of versions come from a sequence. After a crash PostgreSQL gives those again that only lost
transactions had seen; what was read in one of them would then stand under a number that is true.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.credentials import authenticate_key, config_version, integration_keys
from accounts.integration_keys import issue_integration_key, revoke_integration_key
from accounts.models import BillingEntity, Customer, Organization, Workspace
from billing.charging import Charged, Denied
from billing.charging.planning import plan_requests
from billing.limits import find_homes, limit_books
from billing.limits.verbs import create_limit, owner_of
from billing.margin_floors.verbs import set_floor
from core import clock
from core.errors import AuthenticationFailed
from core.numbers import plain
from metering.catalogue import freeze_meters, is_at_hand, meter_catalogue
from metering.costing import cost_book
from metering.models import CostRate, Meter
from pricing.models import PlanVersion, Subscription
from tests.billing.world import START, Tenant, charge, make_meter, make_tenant, make_version, request

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "1"}
COST = {"vendor": "v", "amount": "0.9", "currency": "USD"}
_keys = count(1)


@dataclass
class World:
    """A tenant whose configuration this process has in its caches, and a price that it is not at."""

    tenant: Tenant
    dearer: PlanVersion

    def says(self) -> str:
        """What a call of one token is answered: its amount, or why it is refused."""
        outcome = charge(self.tenant, f"k{next(_keys)}", properties={"tokens": 1}, costs=[COST])
        if isinstance(outcome, Denied):
            return outcome.reason
        assert isinstance(outcome, Charged), outcome
        return plain(outcome.amount)

    def version(self) -> int:
        return Customer.objects.get(pk=self.tenant.customer.pk).config_version

    def change_something_else(self) -> None:
        Workspace.objects.filter(pk=self.tenant.workspace.pk).update(name="Renamed")


@pytest.fixture(autouse=True)
def _january() -> Iterator[None]:
    clock.use(lambda: NOW)
    yield
    clock.use(None)


@pytest.fixture
def world() -> World:
    make_meter()
    clock.use(lambda: START)
    dearer = make_version([{**PER_TOKEN, "unit_price": "5"}])
    found = World(make_tenant(make_version([PER_TOKEN]), balance="1000", overdraft=Decimal(0)), dearer)
    clock.use(lambda: NOW)
    assert found.says() == "1"
    return found


@contextmanager
def lost() -> Iterator[None]:
    """A transaction that is rolled back."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@contextmanager
def lost_in_a_crash(number: Callable[[], int], change_something_else: Callable[[], None]) -> Iterator[None]:
    """The same, and the number that it saw (`number` tells) is given to another change then."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT last_value FROM core_config_version_seq")
        (before,) = cursor.fetchone()
        with lost():
            yield
            seen = number()
        cursor.execute("SELECT setval('core_config_version_seq', %s)", [before])
    while number() < seen:
        change_something_else()
    assert number() == seen


def suspend(world: World) -> None:
    BillingEntity.objects.filter(pk=world.tenant.payer.pk).update(status="suspended")


def limit(world: World) -> None:
    create_limit(owner_of(workspace=world.tenant.workspace), Decimal("0.5"))


def floor(world: World) -> None:
    set_floor(world.tenant.payer, min_margin=Decimal("0.5"), action="deny")


def subscribe(world: World) -> None:
    Subscription.objects.create(
        customer=world.tenant.customer,
        billing_entity=world.tenant.payer,
        version=world.dearer,
        starts_at=START,
        anchor_at=START,
        created_at=NOW,
    )


OF_A_CUSTOMER = [
    pytest.param(suspend, "suspended", id="state"),
    pytest.param(limit, "spend_limit", id="limit"),
    pytest.param(floor, "margin_floor", id="floor"),
    pytest.param(subscribe, "6", id="price"),
]
Change = Callable[[World], None]


@pytest.mark.parametrize(("change", "answer"), OF_A_CUSTOMER)
def test_what_was_rolled_back_is_not_obeyed(world: World, change: Change, answer: str) -> None:
    with lost():
        change(world)
        assert world.says() == answer
    assert world.says() == "1"


@pytest.mark.parametrize(("change", "answer"), OF_A_CUSTOMER)
def test_nor_when_its_number_is_given_again(world: World, change: Change, answer: str) -> None:
    with lost_in_a_crash(world.version, world.change_something_else):
        change(world)
        assert world.says() == answer
    assert world.says() == "1"


@pytest.mark.django_db(transaction=True)
def test_nor_where_it_was_a_whole_transaction(world: World) -> None:
    with lost_in_a_crash(world.version, world.change_something_else):
        subscribe(world)
        assert world.says() == "6"
        limit(world)
        assert world.says() == "spend_limit"
    assert world.says() == "1"


@pytest.mark.django_db(transaction=True)
def test_where_a_workspace_belongs_is_not_added_to_a_book_that_others_use() -> None:
    tenant = make_tenant()
    above = Organization.objects.create(customer=tenant.customer, name="Above", created_at=START)
    create_limit(owner_of(organization=above), Decimal(1), currency="USD", time_zone="UTC")
    place = (None, tenant.workspace.pk, tenant.payer.pk)
    versions = {tenant.customer.pk: Customer.objects.get(pk=tenant.customer.pk).config_version}
    book = limit_books(versions)[tenant.customer.pk]
    with lost():
        Workspace.objects.filter(pk=tenant.workspace.pk).update(organization=above)
        moved = find_homes(book, [tenant.workspace.pk])
        assert len(list(moved.at(*place))) == 1
    assert not book.knows(tenant.workspace.pk)
    assert find_homes(limit_books(versions)[tenant.customer.pk], [tenant.workspace.pk]) is book
    assert list(book.at(*place)) == []


@pytest.mark.django_db(transaction=True)
def test_what_a_charge_needs_is_read_before_its_transaction_and_kept(world: World) -> None:
    tenant = world.tenant
    above = Organization.objects.create(customer=tenant.customer, name="Above", created_at=START)
    Workspace.objects.filter(pk=tenant.workspace.pk).update(organization=above)
    create_limit(owner_of(organization=above), Decimal(100), currency="USD", time_zone="UTC")
    floor(world)
    assert world.says() == "margin_floor"
    with CaptureQueriesContext(connection) as captured:
        assert world.says() == "margin_floor"
    assert [query["sql"] for query in captured if not query["sql"].startswith(("BEGIN", "COMMIT"))] == []


def make_rate(event: str, unit_cost: int) -> None:
    terms = {"unit_cost": unit_cost, "currency": "USD", "starts_at": START, "created_at": NOW}
    CostRate.objects.create(event=event, vendor="v", **terms)


def make_something_else() -> None:
    make_rate("other", 1)


def test_a_rate_that_was_rolled_back_costs_nothing(world: World) -> None:
    event = request(world.tenant, "a", properties={"tokens": 1}).event

    def cost() -> Decimal | None:
        return cost_book(config_version()).cost_of(event, "USD")[1]

    with lost_in_a_crash(config_version, make_something_else):
        make_rate("completion", 3)
        assert cost() == 3
    assert cost() is None


def test_a_rate_is_not_kept_under_the_number_of_the_time_before_it(world: World) -> None:
    """The number was remembered, the book was not: read after the change, it says more."""
    event, before = request(world.tenant, "a", properties={"tokens": 1}).event, config_version()
    cost_book(0)
    with lost():
        make_rate("completion", 3)
        assert cost_book(before).cost_of(event, "USD")[1] == 3
    assert config_version() == before
    assert cost_book(before).cost_of(event, "USD")[1] is None


def test_a_meter_that_was_rolled_back_hears_nothing(world: World) -> None:
    def heard() -> list[str]:
        return [meter.key for meter in meter_catalogue(config_version()).meters_for("render")]

    with lost_in_a_crash(config_version, make_something_else):
        make_meter("renders", event="render", aggregation="count")
        assert heard() == ["renders"]
        assert is_at_hand(config_version())
        seen = config_version()
    assert config_version() == seen
    assert not is_at_hand(seen)
    assert heard() == []


def test_a_meter_is_loose_again_when_what_froze_it_was_rolled_back() -> None:
    make_meter()
    meter_catalogue(0)
    with lost():
        freeze_meters(meter_catalogue(config_version()).meters_for("completion"), NOW)
        meter_catalogue(0)
        assert meter_catalogue(config_version()).meters_for("completion")[0].frozen
    assert not meter_catalogue(config_version()).meters_for("completion")[0].frozen
    freeze_meters(meter_catalogue(config_version()).meters_for("completion"), NOW)
    assert Meter.objects.get().frozen_at == NOW


def test_the_number_that_calls_are_planned_at_is_the_one_that_stands(world: World) -> None:
    asked = [(0, request(world.tenant, "a", properties={"tokens": 1}))]
    with lost():
        make_something_else()
        world.says()
        assert plan_requests(asked, NOW).global_version == config_version()
    assert plan_requests(asked, NOW).global_version == config_version()


def test_a_key_whose_revocation_was_rolled_back_goes_on() -> None:
    issued = issue_integration_key(name="Gateway", scopes=["charges:write"])
    with lost_in_a_crash(config_version, make_something_else):
        revoke_integration_key(issued.key)
        with pytest.raises(AuthenticationFailed):
            authenticate_key(issued.secret)
    assert authenticate_key(issued.secret, is_fresh=False).id == issued.key.pk


def test_a_key_that_was_rolled_back_is_nobodys() -> None:
    with lost():
        issued = issue_integration_key(name="Gateway", scopes=["charges:write"])
        assert authenticate_key(issued.secret).id == issued.key.pk
        assert integration_keys.at_hand(issued.secret, "charges:write") is not None
    assert integration_keys.at_hand(issued.secret, "charges:write") is None
    with pytest.raises(AuthenticationFailed):
        authenticate_key(issued.secret, is_fresh=False)
