"""Requests cut into transactions: all of them once, calls of one caller in order, transactions bounded."""

from __future__ import annotations

from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from billing.charging import ChargeRequest, Mode, shards
from billing.charging.shards import Numbered, shards_of
from core import clock
from metering.events import parse_event
from tests.properties.conftest import PROFILE


def numbered(callers: list[int]) -> list[Numbered]:
    return [
        (
            place,
            ChargeRequest(
                parse_event(
                    {"idempotency_key": str(place), "event": "call", "workspace": f"w{caller}"}, clock.now()
                ),
                Mode.REPORT,
            ),
        )
        for place, caller in enumerate(callers)
    ]


@settings(PROFILE, max_examples=PROFILE.max_examples * 4)
@given(
    callers=st.lists(st.integers(0, 9), max_size=60),
    size=st.integers(1, 12),
    begin=st.integers(0, 2**32 - 1),
)
def test_every_request_is_in_one_shard_and_callers_keep_their_order(
    callers: list[int], size: int, begin: int
) -> None:
    requests = numbered(callers)
    with mock.patch.object(shards, "SHARD_MAX", size), mock.patch.object(shards, "_begin", begin):
        found = shards_of(requests)
    assert sorted(place for shard in found for place, _ in shard) == list(range(len(callers)))
    assert all(0 < len(shard) <= size for shard in found)
    assert len(found) <= -(-len(callers) // size)
    for caller in set(callers):
        places = [place for shard in found for place, one in shard if one.event.workspace == f"w{caller}"]
        assert places == sorted(places)
