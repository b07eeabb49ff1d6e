"""Another interval starts a new cycle: the table of docs/algorithms/proration.md, booked."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from billing.models import BookedFee
from billing.periods import book_base_fees
from billing.subscriptions import change_subscription, start_subscription
from core import clock
from core.instants import instant_text, parse_instant
from core.numbers import plain
from pricing.models import BillingPeriod
from tests.billing.world import make_tenant, make_version
from tests.pricing.documented import Row, documented, named

pytestmark = pytest.mark.django_db
FEE = {"key": "fee", "amount": "100", "prorate": True}


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    yield
    clock.use(None)


@pytest.mark.parametrize("row", documented("proration.md", "Interval changes"), ids=named)
def test_another_interval_starts_a_new_cycle(row: Row) -> None:
    started, change = parse_instant(row["started"]), parse_instant(row["change"])
    old, new = (
        make_version([], interval=row[f"{which} interval"], anchor=row["anchor"], base_fees=[FEE])
        for which in ("old", "new")
    )
    tenant = make_tenant(balance="10000", time_zone=row["zone"])
    clock.use(lambda: started)
    subscription = start_subscription(tenant.payer, old)
    clock.use(lambda: change)
    book_base_fees(change)
    change_subscription(subscription, version=new)
    periods = BillingPeriod.objects.filter(subscription=subscription).order_by("starts_at")
    before, present = list(periods)[-2:]
    assert instant_text(present.starts_at) == row["new period start"]
    assert instant_text(present.ends_at) == row["new period end"]
    fees = BookedFee.objects.filter(subscription_id=subscription.pk)
    kept = sum(fee.amount for fee in fees.filter(period_id=before.pk))
    if row["old part"] != "0":
        assert (instant_text(before.starts_at), before.ends_at) == (row["old period"], change)
        assert plain(kept) == row["old part"]
    assert plain(sum(fee.amount for fee in fees.filter(period_id=present.pk))) == row["new part"]
    later = present.ends_at
    clock.use(lambda: later)
    book_base_fees(later)
    following = periods.last()
    assert following is not None
    assert (following.starts_at, instant_text(following.ends_at)) == (later, row["next period end"])
    [fee] = fees.filter(period_id=following.pk)
    assert plain(fee.amount) == "100"
