"""A replay of a payer's versions over its stored events is what was really charged, to the last decimal."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.conftest import PROFILE
from tests.properties.history import History


@pytest.mark.django_db
def test_any_history_is_what_its_replay_comes_to() -> None:
    run_state_machine_as_test(History, settings=settings(PROFILE))


def _call(tokens: str, cost: str | None, region: str | None, hours_ago: int) -> dict[str, Any]:
    given = {"tokens": Decimal(tokens), "cost": cost, "region": region}
    return given | {"person": "a", "hours_ago": hours_ago}


@pytest.mark.django_db
def test_what_one_reversal_takes_back_of_a_give_back_is_there_for_the_next_one() -> None:
    """Found by the machine: a falling price gave back to the receivable, and a backdated change undid it."""
    history = History()
    first = [_call(tokens, None, "eu", 0) for tokens in ("5.1", "2.7", "4.0")]
    history.open(is_invoiced=True, has_coupons=True, calls=first)
    history.use(calls=[_call("5.1", "0", None, 288), _call("2.7", "0", "us", 20), _call("4", "0", "eu", 288)])
    history.move(quarters=0, which=1)
    history.books_agree()
    history.history_agrees()
    history.teardown()


@pytest.mark.django_db
def test_a_reversal_after_the_close_leaves_the_sums_of_a_margin_floor_what_its_buckets_are() -> None:
    """Found by the machine: coupons were paid again in the midst of a batch that kept the period's sums."""
    history = History()
    history.open(is_invoiced=True, has_coupons=True, calls=[_call("2.5", None, "eu", 0)])
    history.wait(days=24)
    history.use(calls=[_call("7.6", None, "eu", 0)])
    history.wait(days=7)
    history.reverse(which=1)
    history.books_agree()
    history.history_agrees()
    history.teardown()
