"""`GET /v1/usage`, of events that were not reversed."""

from __future__ import annotations

from typing import ClassVar

from billing.reversals.finding import that_count
from metering.api.usage import UsageView
from metering.usage.narrow import EventFilter


class UsageThatCountsView(UsageView):
    """Usage of a customer, a payer or a workspace; what was reversed counts for nothing."""

    counting: ClassVar[EventFilter] = staticmethod(that_count)
