"""The due task of margin rules: compare, and tell staff of what fell."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction

from accounts.models import BillingEntity
from billing.margin_rules.falling import Course, courses, in_one_currency
from billing.margins import Margin
from billing.models import MarginAlert, MarginRule, OutboxMessage
from billing.reports.comparing import Comparison, make_comparison
from billing.store_margin_rules import subject_sums
from core.instants import instant_text
from core.numbers import ZERO, plain

FALL: Final = MarginAlert.Kind.FALL.value


def watch_margins(now: datetime) -> int:
    """Look at every rule, at whole UTC days up to today; how many alerts it raised. Safe to run twice."""
    rules = list(MarginRule.objects.filter(ended_at=None).order_by("pk").values_list("pk", flat=True))
    if not rules:
        return 0
    comparison = make_comparison(BillingEntity.objects.values_list("currency", flat=True), now)
    return sum(_watch(pk, comparison, now) for pk in rules)


@transaction.atomic
def _watch(pk: int, comparison: Comparison, now: datetime) -> int:
    """One rule, locked, so that two runs tell of a fall once."""
    rule = MarginRule.objects.select_for_update().get(pk=pk)
    if rule.ended_at is not None:
        return 0
    raised = 0
    for subject, course in measure(rule, comparison, now).items():
        fall = course.fall
        if fall is not None and fall >= rule.points:
            raised += _tell(rule, subject, course, fall, comparison.currency, now)
    return raised


def measure(rule: MarginRule, comparison: Comparison, now: datetime) -> dict[str, Course]:
    """The margins that a rule compares at `now`, by subject, in the currency of comparison."""
    first, middle, last = stretches(rule.days, now)
    found: defaultdict[tuple[str, bool], list[tuple[str, Margin]]] = defaultdict(list)
    for row in subject_sums(rule.scope, rule.subject, first, middle, last):
        found[row.subject, row.is_now].append((row.currency, row.margin))
    return courses({place: in_one_currency(margins, comparison, last) for place, margins in found.items()})


def stretches(days: int, now: datetime) -> tuple[datetime, datetime, datetime]:
    """Where the days before begin, where the last days begin, and where they end: at today's UTC midnight."""
    last = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    span = timedelta(days=days)
    return last - span - span, last - span, last


def _tell(rule: MarginRule, subject: str, course: Course, fall: Decimal, currency: str, now: datetime) -> int:
    """Tell staff, unless the last alert of this rule and subject is of days that are in these ones too."""
    _, starts_at, ends_at = stretches(rule.days, now)
    if MarginAlert.objects.filter(rule_id=rule.pk, subject=subject, ends_at__gt=starts_at).exists():
        return 0
    then, now_ = course.before, course.now
    assert then is not None
    assert now_ is not None
    alert = MarginAlert.objects.create(
        key=f"{FALL}:{rule.pk}:{ends_at.date().isoformat()}:{subject}",
        kind=FALL,
        rule_id=rule.pk,
        subject=subject,
        starts_at=starts_at,
        ends_at=ends_at,
        currency=currency,
        revenue=now_.revenue,
        cost=now_.known_cost,
        events=now_.events,
        costed=now_.costed,
        bound=fall,
        detail={
            "scope": rule.scope,
            "points": plain(rule.points),
            "days": rule.days,
            "before": {
                "revenue": plain(then.revenue),
                "cost": plain(then.known_cost),
                "margin_rate": plain(then.margin_rate or ZERO),
                "events": then.events,
                "costed": then.costed,
            },
        },
        raised_at=now,
    )
    OutboxMessage.objects.create(
        kind=f"margin.{FALL}",
        key=f"margin/{alert.pk}",
        customer_id=None,
        payload=alert.detail
        | {
            "rule": rule.public_id,
            "subject": subject,
            "starts_at": instant_text(starts_at),
            "ends_at": instant_text(ends_at),
            "currency": currency,
            "revenue": plain(now_.revenue),
            "cost": plain(now_.known_cost),
            "events": now_.events,
            "costed": now_.costed,
            "bound": plain(fall),
        },
        created_at=now,
    )
    return 1
