"""The outbox: taken on once, in order, whoever else is at it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from billing.models import OutboxMessage
from billing.rollouts import deliver_outbox
from billing.tasks import deliver_outbox as task
from core import clock
from tests.billing.world import START
from tests.concurrency.crowd import at_once


def write(number: int) -> list[OutboxMessage]:
    return OutboxMessage.objects.bulk_create(
        OutboxMessage(
            kind="rollout.notice",
            key=f"k/{index}",
            customer_id=index + 1,
            payload={"number": index},
            created_at=START,
        )
        for index in range(number)
    )


@pytest.mark.django_db
def test_each_message_is_delivered_once(caplog: pytest.LogCaptureFixture) -> None:
    write(3)
    with caplog.at_level("INFO", "billing.rollouts.notices"):
        assert deliver_outbox(START) == 3
        assert deliver_outbox(START + timedelta(days=1)) == 0
    assert set(OutboxMessage.objects.values_list("delivered_at", flat=True)) == {START}
    assert [record.getMessage() for record in caplog.records] == [
        f"rollout.notice for customer cus_0000000{number}" for number in (1, 2, 3)
    ]


@pytest.mark.django_db
def test_no_message_is_logged_with_what_it_says(caplog: pytest.LogCaptureFixture) -> None:
    OutboxMessage.objects.create(
        kind="k", key="k", customer_id=1, payload={"secret": "s3cret"}, created_at=START
    )
    with caplog.at_level("INFO"):
        task()
    assert "s3cret" not in caplog.text
    assert OutboxMessage.objects.get().delivered_at is not None


@pytest.mark.django_db
def test_what_is_for_staff_names_no_customer(caplog: pytest.LogCaptureFixture) -> None:
    OutboxMessage.objects.create(kind="margin.fall", key="k", payload={}, created_at=START)
    with caplog.at_level("INFO", "billing.rollouts.notices"):
        assert deliver_outbox(START) == 1
    assert [record.getMessage() for record in caplog.records] == ["margin.fall for staff"]


@pytest.mark.django_db(transaction=True)
def test_two_at_once_take_each_message_once() -> None:
    write(40)
    counts = at_once([lambda: deliver_outbox(clock.now()), lambda: deliver_outbox(clock.now())])
    rest = deliver_outbox(clock.now())
    assert sum(counts) + rest == 40
    assert not OutboxMessage.objects.filter(delivered_at=None).exists()
