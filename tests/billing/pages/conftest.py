"""What the tests of pages share: a fixed January, people of all kinds, and a page as one reads it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.test import Client

from accounts.models import User
from accounts.users import add_to_staff, create_user
from core import clock
from pricing.models import PlanVersion
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.clocks import standing_at

NOW = datetime(2026, 1, 15, 12, tzinfo=UTC)
GRADUATED = {
    "key": "tok",
    "meter": "tokens",
    "model": "graduated",
    "included": "100",
    "tiers": [{"up_to": "1000", "unit_price": "0.01"}, {"up_to": None, "unit_price": "0.005"}],
}


def now_is(instant: datetime) -> None:
    """Let it be another time, until the test ends."""
    clock.use(lambda: instant)


_january = standing_at(NOW)


@pytest.fixture
def version() -> PlanVersion:
    """A version with one graduated component on the meter `tokens`."""
    make_meter()
    return make_version([GRADUATED])


@pytest.fixture
def acme(version: PlanVersion) -> Tenant:
    """A customer with USD 20 that calls in New York."""
    return make_tenant(version, balance="20", overdraft=Decimal(0), time_zone="America/New_York")


Sign = Callable[[str], Client]


@pytest.fixture
def sign_in() -> Sign:
    """`sign_in("finance")`: the client of a new member of staff of that group."""

    def sign(group: str) -> Client:
        user = create_user(email=f"{group}@operator.example")
        return signed(add_to_staff(user, group))

    return sign


@pytest.fixture
def staff(sign_in: Sign) -> Client:
    """Somebody of finance."""
    return sign_in("finance")


def signed(user: User) -> Client:
    """A client in which the user is signed in."""
    client = Client()
    client.force_login(user)
    return client
