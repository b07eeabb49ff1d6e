"""`GET /v1/usage`, of events that were not reversed."""

from __future__ import annotations

from django.db.models import QuerySet

from billing.reversals.finding import that_count
from metering.api.usage import UsageView
from metering.models import UsageEvent


class UsageThatCountsView(UsageView):
    """Usage of a customer, a payer or a workspace; what was reversed counts for nothing."""

    def counting(self, events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
        """Those that were not reversed."""
        return that_count(events)
