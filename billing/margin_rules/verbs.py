"""Making and ending a rule on falling margins; both stand in the audit trail."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from django.db import transaction

from billing.models import MarginRule
from core import clock
from core.errors import Conflict, InvalidRequest
from core.texts import clean_text
from pricing.models import Plan

Scope = MarginRule.Scope
DAYS_MAX: Final = 92


def create_rule(*, scope: str, points: Decimal, days: int, subject: str = "", by: str = "") -> MarginRule:
    """Tell staff when the margin of `scope` falls `points` percentage points in `days` days (1 to 92).

    `subject`: a plan's key, or a model as events name it; empty: of each plan or model by itself. Raises
    InvalidRequest.
    """
    if scope not in Scope.values:
        raise InvalidRequest("invalid_choice", f"scope must be one of {', '.join(Scope.values)}.", "scope")
    if not points > 0:
        raise InvalidRequest("invalid_value", "A fall has more than 0 points.", "points")
    if not 1 <= days <= DAYS_MAX:
        raise InvalidRequest("out_of_range", f"days must be from 1 to {DAYS_MAX}.", "days")
    if scope == Scope.WHOLE and subject:
        raise InvalidRequest("invalid_value", "The whole has no subject.", "subject")
    if scope == Scope.PLAN and subject and not Plan.objects.filter(key=subject).exists():
        raise InvalidRequest("unknown_plan", f"There is no plan {subject[:80]!r}.", "subject")
    return MarginRule.objects.create(
        scope=scope,
        subject=subject and clean_text(subject, "subject"),
        points=points,
        days=days,
        created_at=clock.now(),
        created_by=by,
    )


@transaction.atomic
def end_rule(rule: MarginRule) -> MarginRule:
    """Look no more. Raises Conflict `ended`."""
    rule = MarginRule.objects.select_for_update().get(pk=rule.pk)
    if rule.ended_at is not None:
        raise Conflict("ended", "This rule has ended already.")
    rule.ended_at = clock.now()
    rule.save(update_fields=["ended_at"])
    return rule
