"""What each door of the path sends: as many statements for many events, meters, grants, limits and levels as
for one of each, in as many trips to the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from django.test import Client

from accounts.integration_keys import issue_integration_key
from accounts.keys import issue_api_key
from accounts.models import BillingEntity
from accounts.organizations import create_organization
from billing.charging import CaptureTerms, Charged, ChargeRequest, HoldTerms, Mode, Outcome, charge_many
from billing.limits.verbs import create_limit, owner_of
from billing.wallets import grant_credit
from core import clock
from metering.models import Meter
from tests.billing.world import START, make_meter, make_tenant, make_version, request
from tests.statements import Statements, counted

pytestmark = pytest.mark.django_db
_keys = count(1)
FLOOR = {"min_margin": "0.01", "min_volume": "1", "action": "deny"}


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    clock.use(lambda: START)
    yield
    clock.use(None)


class World:
    """A payer on a version with so many meters, each with a quota, with so many grants, limits at each of its
    levels, and organizations one above the other."""

    def __init__(self, *, meters: int = 1, grants: int = 1, limits: int = 1, levels: int = 1) -> None:
        names = [f"m{next(_keys)}" for _ in range(meters)]
        for name in names:
            make_meter(name, event=f"{names[0]}-event")
        quotas = [
            {"feature": f"{name}-quota", "type": "metered", "meter": name, "limit": "1000000"}
            for name in names
        ]
        components = [
            {"key": name, "meter": name, "model": "per_unit", "unit_price": "0.01"} for name in names
        ]
        version = make_version(components, entitlements=quotas, margin_floor=FLOOR)
        self.tenant = make_tenant(version, balance="100", overdraft=Decimal(0))
        own = {"customer": self.tenant.customer, "currency": "USD", "created_at": START}
        BillingEntity.objects.create(name="Other", **own)  # so that limits are locked
        self.event, self.properties = f"{names[0]}-event", dict.fromkeys(names, 1)
        for number in range(grants):
            grant_credit(self.tenant.payer, Decimal(10), priority=10 + number)
        self.key = issue_api_key(workspace=self.tenant.workspace, name="k")
        self.integration = issue_integration_key(name="gateway", scopes=["charges:write"]).secret
        self._bound(limits, levels)

    def _bound(self, limits: int, levels: int) -> None:
        parent = None
        owners = [
            owner_of(api_key=self.key.key),
            owner_of(workspace=self.tenant.workspace),
            owner_of(billing_entity=self.tenant.payer),
        ]
        for number in range(levels):
            parent = create_organization(customer=self.tenant.customer, name=f"o{number}", parent=parent)
            owners.append(owner_of(organization=parent))
        self.tenant.workspace.organization = parent
        self.tenant.workspace.save()
        owners += [
            owner_of(billing_entity=self.tenant.payer, meter=Meter.objects.get(key=name))
            for name in self.properties
        ]
        for owner in owners:
            create_limit(owner, Decimal(100_000), window="rolling", hours=24)
            for hours in range(2, limits + 1):
                create_limit(owner, Decimal(100_000), window="rolling", hours=hours)
            create_limit(owner, Decimal(100_000))

    def requests(self, number: int, mode: Mode) -> list[ChargeRequest]:
        """So many calls by the key, at a cost that is known."""
        fields = {"workspace": None, "api_key": self.key.secret, "event": self.event}
        made = [
            request(self.tenant, f"k{next(_keys)}", mode, properties=self.properties, **fields)
            for _ in range(number)
        ]
        for one in made:
            one.hold = HoldTerms(timedelta(minutes=10)) if mode is Mode.HOLD else None
        return made


def sent(requests: Sequence[ChargeRequest]) -> Statements:
    """What a batch sends of which everything goes through."""
    with counted() as statements:
        outcomes = charge_many(requests)
    allowed = [type(outcome).__name__ in ("Charged", "Recorded", "Authorized") for outcome in outcomes]
    assert all(allowed), outcomes
    return statements


def hold(world: World, number: int) -> list[Outcome]:
    return charge_many(world.requests(number, Mode.HOLD))


def charges(world: World, number: int) -> Statements:
    return sent(world.requests(number, Mode.ASK))


def reports(world: World, number: int) -> Statements:
    return sent(world.requests(number, Mode.REPORT))


def holds(world: World, number: int) -> Statements:
    return sent(world.requests(number, Mode.HOLD))


def captures(world: World, number: int) -> Statements:
    held = hold(world, number)
    asked = []
    for one, outcome in zip(world.requests(number, Mode.ASK), held, strict=True):
        terms = CaptureTerms(
            outcome.customer_id,  # type: ignore[union-attr]
            outcome.id,  # type: ignore[union-attr]
            world.tenant.workspace.pk,
            world.key.key.pk,
        )
        event = replace(one.event, workspace=None, api_key=None, billing_entity=world.tenant.payer.public_id)
        asked.append(replace(one, event=event, authorization=terms))
    return sent(asked)


def lease_draws(world: World, number: int) -> Statements:
    asked = world.requests(number, Mode.HOLD)
    for one in asked:
        one.hold = HoldTerms(timedelta(minutes=10), Decimal("0.5"), is_lease=True)
    return sent(asked)


def lease_reports(world: World, number: int) -> Statements:
    (drawn,) = world.requests(1, Mode.HOLD)
    drawn.hold = HoldTerms(timedelta(minutes=10), Decimal(5), is_lease=True)
    (lease,) = charge_many([drawn])
    terms = CaptureTerms(
        lease.customer_id,  # type: ignore[union-attr]
        lease.id,  # type: ignore[union-attr]
        world.tenant.workspace.pk,
        lease_payer_id=world.tenant.payer.pk,
    )
    return sent([replace(one, authorization=terms) for one in world.requests(number, Mode.REPORT)])


def checks(world: World, number: int) -> Statements:
    """A gateway's checks; the statements of the last."""
    for _ in range(number):
        headers = {
            "X-Tollgate-Key": str(world.integration),
            "X-Api-Key": str(world.key.secret),
            "X-Request-Id": f"r{next(_keys)}",
            "X-Tollgate-Event": world.event,
            "X-Tollgate-Quantity": "1",
        }
        with counted() as statements:
            answer = Client().get("/v1/gateway/authorize", headers=headers)
        assert answer.status_code == 200, answer.content
    return statements


Door = Callable[[World, int], Statements]
DOORS = (charges, reports, holds, captures, lease_draws, lease_reports, checks)
MORE: dict[str, dict[str, Any]] = {
    "meters": {"meters": 6},
    "grants": {"grants": 8},
    "limits": {"limits": 7},
    "levels": {"levels": 5},
    "everything": {"meters": 4, "grants": 6, "limits": 4, "levels": 4},
}


def measured(door: Door, world: World, number: int) -> Statements:
    """What a door sends once the process knows the world, where every quota has been counted."""
    for before in (charges, door):
        before(world, 1)
    return door(world, number)


@pytest.mark.parametrize("door", DOORS)
def test_a_door_sends_as_many_statements_whatever_there_is(door: Door) -> None:
    world = World()
    one = measured(door, world, 1)
    assert len(one) > 0
    for number in (2, 30):
        many = door(world, number)
        assert len(many) == len(one), f"{number} events\n{many.shown}\n---\n{one.shown}"
        assert many.trips <= one.trips, f"{number} events"
    for name, fields in MORE.items():
        more = measured(door, World(**fields), 1)
        assert len(more) == len(one), f"{name}\n{more.shown}\n---\n{one.shown}"
        assert more.trips == one.trips, name


@pytest.mark.parametrize("door", DOORS[:-1])
def test_many_events_of_a_world_of_everything_cost_what_one_costs(door: Door) -> None:
    world = World(**MORE["everything"])
    one = measured(door, world, 1)
    many = door(world, 25)
    copied = sum(
        text.startswith("COPY") for text in many.texts
    )  # a table of a hundred rows has a trip of its own
    assert (len(many), many.trips - copied) == (len(one), one.trips), many.shown


def test_the_worlds_are_bounded_as_they_say() -> None:
    """Else the counts above would show nothing."""
    world = World(**MORE["everything"])
    (charged,) = charge_many(world.requests(1, Mode.ASK))
    assert isinstance(charged, Charged)
    assert len(charged.lines) == 4
    assert world.tenant.customer.spend_limits.count() == (3 + 4 + 4) * (4 + 1)
