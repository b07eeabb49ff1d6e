"""Reports put together and cut by payers, and the same one after the other: same rows, same answers."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.charging import charge_many, shards
from billing.charging.merging import ReportQueue
from billing.charging.queues import Ticket
from core import clock
from core.sql import driver
from tests.billing.invariants import broken_invariants
from tests.billing.world import make_meter, make_version
from tests.properties.conftest import PROFILE
from tests.properties.test_straight import (
    CALLS,
    COMPONENTS,
    GRANTS,
    NOW,
    PAYERS,
    alike,
    request_of,
    shown,
    stored,
)

pytestmark = pytest.mark.django_db
PAYER_COUNT = 3


@settings(PROFILE)
@given(
    plan=st.sampled_from(["graduated", "volume", "two"]),
    payer=PAYERS,
    grants=GRANTS,
    reports=st.lists(
        st.lists(st.tuples(st.integers(0, PAYER_COUNT - 1), CALLS), min_size=1, max_size=6),
        min_size=2,
        max_size=4,
    ),
    size=st.integers(2, 8),
)
def test_merged_reports_come_to_what_they_come_to_alone(
    plan: str, payer: dict[str, Any], grants: Any, reports: Any, size: int
) -> None:
    with transaction.atomic():
        clock.use(lambda: NOW)
        for meter in {component["meter"] for component in COMPONENTS[plan]}:
            make_meter(meter, aggregation="count" if meter == "calls" else "sum")
        version = make_version(COMPONENTS[plan])
        merged = [alike(version, payer, grants) for _ in range(PAYER_COUNT)]
        alone = [alike(version, payer, grants) for _ in range(PAYER_COUNT)]
        tickets: list[Ticket[Any, Any]] = [
            Ticket([request_of(merged[who], call) for who, call in report]) for report in reports
        ]
        with mock.patch.object(shards, "SHARD_MAX", size):
            ReportQueue(events_max=100).work(tickets)
        for ticket, report in zip(tickets, reports, strict=True):
            outcomes = charge_many([request_of(alone[who], call) for who, call in report])
            together = [ticket.result()[place] for place in range(len(report))]
            assert [shown(one, merged[0]) for one in together] == [shown(one, alone[0]) for one in outcomes]
        for one, other in zip(merged, alone, strict=True):
            assert stored(one) == stored(other)
        assert broken_invariants(driver()) == []
        clock.use(None)
        transaction.set_rollback(True)
