"""What is held at an instant, and how much of it in each currency."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.db.models import Count, OuterRef, QuerySet, Subquery, Sum

from accounts.models import BillingEntity
from accounts.scoping import Viewer, visible
from billing.models import Authorization


def live_holds(viewer: Viewer, now: datetime) -> QuerySet[Authorization]:
    """What reserves money at `now`: a hold that has expired does not, written down or not."""
    open_ones = visible(Authorization, viewer).filter(status=Authorization.Status.AUTHORIZED)
    return open_ones.filter(expires_at__gt=now)


def held_sums(live: QuerySet[Authorization]) -> list[tuple[str, int, Decimal]]:
    """(currency, number, amount) of live holds; one statement."""
    currency = BillingEntity.objects.filter(pk=OuterRef("billing_entity_id")).values("currency")
    summed = live.order_by().annotate(code=Subquery(currency)).values("code")
    rows = summed.annotate(number=Count("*"), total=Sum("held")).order_by("code")
    return [(row["code"], row["number"], row["total"]) for row in rows]
