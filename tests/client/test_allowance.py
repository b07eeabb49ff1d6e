"""What a lease lets pass: decided here, hard at its amount, at its end, and at what may wait."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollgate_client import Denied, Event, LeaseDenied
from tollgate_client.allowance import Allowance

CENTS = st.decimals(0, 2, places=2)


class Steady:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def allowance(amount: str = "1", seconds: float = 60, unreported_max: int = 100, **more: Any) -> Allowance:
    return Allowance("auth_1", Decimal(amount), seconds, 100.0, unreported_max, more.pop("steady", Steady()))


def event(key: str = "k") -> Event:
    return Event("completion", workspace="w1", idempotency_key=key)


def reason(of: Allowance, amount: str = "0.01") -> str:
    with pytest.raises(LeaseDenied) as raised:
        of.take(event(), Decimal(amount))
    return raised.value.reason


def test_calls_pass_up_to_the_amount_and_not_a_cent_beyond() -> None:
    lease = allowance("1")
    lease.take(event(), Decimal("0.60"))
    assert reason(lease, "0.41") == "lease_exhausted"
    lease.take(event(), Decimal("0.40"))
    assert lease.left == 0
    assert reason(lease) == "lease_exhausted"
    lease.take(event(), Decimal(0))


def test_a_denial_is_like_tollgates_own() -> None:
    lease = allowance("1")
    lease.take(event(), Decimal("0.75"))
    with pytest.raises(Denied) as raised:
        lease.take(event(), Decimal("0.50"))
    denied = raised.value
    assert (denied.level, denied.level_id, denied.status) == ("lease", "auth_1", 402)
    assert (denied.limit, denied.used) == (Decimal(1), Decimal("0.75"))


def test_it_is_over_at_its_instant() -> None:
    steady = Steady()
    lease = allowance(seconds=60, steady=steady)
    steady.seconds = 159.9
    lease.take(event(), Decimal("0.01"))
    steady.seconds = 160.0
    assert reason(lease) == "lease_expired"


def test_no_more_wait_than_may() -> None:
    lease = allowance("100", unreported_max=2)
    lease.take(event(), Decimal(1))
    lease.take(event(), Decimal(1))
    assert reason(lease) == "lease_unreported"
    lease.settle(lease.batch(), None)
    lease.take(event(), Decimal(1))


def test_what_is_returned_lets_nothing_pass() -> None:
    lease = allowance()
    lease.end()
    assert reason(lease) == "lease_returned"


def test_the_servers_figure_corrects_what_was_assumed() -> None:
    lease = allowance("10")
    for cost in ("1", "2", "3"):
        lease.take(event(), Decimal(cost))
    batch = lease.batch()
    lease.take(event(), Decimal("0.5"))
    lease.settle(batch, Decimal("8.25"))  # they cost 1.75, not 6
    assert (lease.left, lease.exposure, lease.unreported) == (Decimal("7.75"), Decimal("0.5"), 1)
    lease.settle(lease.batch(), Decimal("2"))  # and this one 6.25
    assert lease.left == Decimal(2)


def test_without_a_figure_calls_cost_what_was_assumed() -> None:
    lease = allowance("10")
    lease.take(event(), Decimal(4))
    lease.settle(lease.batch(), None)
    assert lease.left == Decimal(6)


@pytest.mark.parametrize("amount", ["-0.01", "NaN", "Infinity"])
def test_a_cost_is_a_number_of_at_least_nothing(amount: str) -> None:
    with pytest.raises(ValueError, match="cannot cost"):
        allowance().take(event(), Decimal(amount))


def test_a_call_that_cannot_be_written_is_refused_before_it_is_promised() -> None:
    lease = allowance()
    with pytest.raises(TypeError):
        lease.take(Event("e", workspace="w1", properties={"x": object()}), Decimal("0.5"))
    assert (lease.left, lease.unreported) == (Decimal(1), 0)


@settings(deadline=None)
@given(st.lists(CENTS, max_size=30))
def test_what_passes_is_what_fits_in_order(costs: list[Decimal]) -> None:
    lease, expected = allowance("5"), Decimal(5)
    for cost in costs:
        try:
            lease.take(event(), cost)
            expected -= cost
        except LeaseDenied:
            assert cost > expected
    assert lease.left == expected >= 0


def test_threads_together_pass_no_more_than_the_amount() -> None:
    lease = allowance("10", unreported_max=10_000)

    def spend(_: int) -> int:
        passed = 0
        for _ in range(200):
            try:
                lease.take(event(), Decimal("0.01"))
                passed += 1
            except LeaseDenied:
                pass
        return passed

    with ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(spend, range(8)))
    assert passed == 1000
    assert (lease.left, lease.unreported) == (0, 1000)
