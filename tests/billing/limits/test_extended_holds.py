"""Holds that are extended around their end, while others have found them over and taken their room."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from billing.authorizations import extend
from billing.models import Authorization
from core import clock
from core.errors import Conflict
from tests.billing.authorizing import NOW, PER_TOKEN, Desk, desks
from tests.billing.world import make_meter, make_version

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _books() -> Iterator[None]:
    yield from desks()  # type: ignore[misc]


def free_under_a_quota() -> Desk:
    """Tokens cost nothing, and there are 100 a month: of what is held only the quota knows."""
    clock.use(lambda: NOW)
    make_meter()
    quota = {"feature": "quota", "type": "metered", "meter": "tokens", "limit": "100"}
    return Desk("10", version=make_version([PER_TOKEN | {"unit_price": "0"}], entitlements=[quota]))


def test_a_hold_that_is_extended_after_another_clock_found_it_over_counts_again() -> None:
    desk = free_under_a_quota()
    hold = desk.hold(60, expires_in=600)
    desk.later(seconds=601)
    for _ in range(2):
        assert desk.charge(1).status_code == 201
    desk.later(seconds=-2)
    assert desk.extend(hold, 600).status_code == 200
    desk.later(seconds=5)
    assert desk.charge(50).status_code == 402


def test_an_extension_that_had_to_wait_until_the_hold_was_over_is_refused() -> None:
    desk = free_under_a_quota()
    desk.hold(60, expires_in=600)
    times = [NOW + timedelta(seconds=599), NOW + timedelta(seconds=601)]
    clock.use(lambda: times.pop(0) if len(times) > 1 else times[0])
    with pytest.raises(Conflict) as raised:
        extend(Authorization.objects.get(), timedelta(seconds=600))
    assert raised.value.code == "authorization_expired"
