"""The queue of reports by itself: what one leader takes, whose error is whose, and who does without it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest

from billing.charging import (
    Charged,
    ChargeRequest,
    Mode,
    Outcome,
    Quarantined,
    Recorded,
    merging,
    report_together,
    shards,
)
from billing.charging.merging import ReportQueue
from billing.charging.path import charge_batch
from billing.charging.queues import Ticket
from core.database_errors import Unavailable
from metering.models import UsageEvent
from pricing.models import PlanVersion
from tests.billing.test_batching import PER_TOKEN
from tests.billing.test_merging import events, kinds
from tests.billing.world import Tenant, make_meter, make_tenant, make_version
from tests.concurrency.callers import call

pytestmark = pytest.mark.django_db


@pytest.fixture
def version() -> PlanVersion:
    make_meter()
    return make_version([PER_TOKEN])


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("a fault of ours"), [None, ValueError, None]),
        (Unavailable("unavailable", "The database is away."), [None, Unavailable, Unavailable]),
        (KeyboardInterrupt(), [None, KeyboardInterrupt, KeyboardInterrupt]),
    ],
)
def test_an_error_is_of_those_whose_transaction_breaks_and_of_all_when_the_database_is_away(
    version: PlanVersion, monkeypatch: pytest.MonkeyPatch, error: BaseException, told: list[Any]
) -> None:
    monkeypatch.setattr(shards, "SHARD_MAX", 1)
    monkeypatch.setattr(shards, "_begin", 0)
    tenants = [make_tenant(version, balance="10") for _ in range(3)]
    walked = shards.shards_of(list(enumerate(reported(tenants))))
    tickets = [ticket([request for _, request in shard]) for shard in walked]
    broken = tickets[1].asked[0].event.idempotency_key

    def breaking(requests: Sequence[shards.Numbered], *, skip_locked: bool) -> dict[int, Outcome]:
        if requests[0][1].event.idempotency_key == broken:
            raise error
        return charge_batch(requests, skip_locked=skip_locked)

    monkeypatch.setattr(merging, "charge_batch", breaking)
    ReportQueue(events_max=9).work(tickets)
    assert [type(one.error) if one.error else None for one in tickets] == told
    assert UsageEvent.objects.count() == told.count(None)
    assert all(one.outcome is not None and len(one.outcome) == 1 for one in tickets if one.error is None)


def reported(tenants: Sequence[Tenant]) -> list[ChargeRequest]:
    return [
        ChargeRequest(event, Mode.REPORT)
        for number, tenant in enumerate(tenants)
        for event in events(call(tenant, f"k{number}"))
    ]


def test_a_leader_takes_no_more_events_than_its_bound_and_a_larger_report_as_a_whole(
    version: PlanVersion,
) -> None:
    queue = ReportQueue(events_max=5)
    request = reported([make_tenant(version)])[0]
    for size in (3, 2, 1, 7, 2, 2, 2):
        queue._waiting.append(ticket([request] * size))
    taken = []
    rooms = []
    while queue.waiting:
        rooms.append(queue.room(queue._waiting))
        taken.append([len(ticket.asked) for ticket in queue.take(queue._waiting)])
    assert taken == [[3, 2], [1], [7], [2, 2], [2]]
    assert [room > 0 for room in rooms] == [False, False, False, False, True], "nobody is waited for in vain"


def test_a_report_inside_somebodys_transaction_stays_in_it(version: PlanVersion) -> None:
    tenant = make_tenant(version, balance="10")
    with mock.patch.object(ReportQueue, "ask") as ask:
        assert kinds(report_together(events(call(tenant, "a")))) == [Charged]
    assert not ask.called


def test_no_events_are_no_transaction_and_unknown_ones_are_answered(version: PlanVersion) -> None:
    assert report_together([]) == []
    tenant = make_tenant(version)
    named = call(tenant, "a") | {"event": "unheard"}
    nobodys = call(tenant, "b") | {"workspace": "nowhere"}
    assert kinds(report_together(events(named, nobodys))) == [Recorded, Quarantined]


def ticket(requests: list[ChargeRequest]) -> Ticket[merging.Report, merging.Outcomes]:
    return Ticket(requests)
