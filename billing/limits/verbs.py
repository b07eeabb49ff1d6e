"""Setting, changing and ending spend limits. Each counts in the next charge of every process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, TypedDict, Unpack

from django.db import transaction
from django.db.models import Q, QuerySet

from accounts.currencies import check_currency
from accounts.models import ApiKey, BillingEntity, Organization, PayerAssignment, Workspace
from accounts.payers import check_time_zone
from billing.ledger import lock_accounts
from billing.limits.starting import count_what_was_spent, remember_reached
from billing.models import SpendLimit
from billing.models.limits import default_thresholds
from billing.store_limits import prune_slots, send_limit_lock
from core import clock
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest, Unprocessable
from core.sql import driver
from metering.models import Meter

Level, Kind, Span, SetBy = SpendLimit.Level, SpendLimit.Kind, SpendLimit.Window, SpendLimit.SetBy
THRESHOLD_MAX: Final = 1000
HOURS_MAX: Final = 8784

ALREADY: Final = (
    "already_exists",
    "There is a limit of this kind for this level and window already; change that one.",
)
explain_constraint("one_limit_per_window", Conflict, *ALREADY)


class LimitTerms(TypedDict, total=False):
    """What a limit may have beside its amount: `hours` of a rolling window, `thresholds` in percent."""

    kind: str
    window: str
    hours: int | None
    thresholds: Sequence[int]
    set_by: str
    currency: str
    time_zone: str


class LimitChanges(TypedDict, total=False):
    """What may change about a limit. Another level or window is another limit."""

    amount: Decimal
    kind: str
    thresholds: Sequence[int]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose spend a limit bounds: the level's row, and of a meter limit its meter."""

    level: str
    customer_id: int
    api_key: ApiKey | None = None
    workspace: Workspace | None = None
    organization: Organization | None = None
    billing_entity: BillingEntity | None = None
    meter: Meter | None = None

    def columns(self) -> dict[str, object]:
        """As the columns of a limit."""
        names = ("level", "customer_id", "api_key", "workspace", "organization", "billing_entity", "meter")
        return {name: getattr(self, name) for name in names}


def owner_of(
    *,
    api_key: ApiKey | None = None,
    workspace: Workspace | None = None,
    organization: Organization | None = None,
    billing_entity: BillingEntity | None = None,
    meter: Meter | None = None,
) -> Owner:
    """The owner that these name: exactly one of them, and a meter only beside a billing entity.

    Raises InvalidRequest.
    """
    rows = {
        Level.API_KEY.value: api_key,
        Level.WORKSPACE.value: workspace,
        Level.ORGANIZATION.value: organization,
        Level.BILLING_ENTITY.value: billing_entity,
    }
    named = [(level, row) for level, row in rows.items() if row is not None]
    if len(named) != 1:
        says = "Name one of api_key, workspace, organization and billing_entity."
        raise InvalidRequest(
            "required" if not named else "ambiguous", says, named[1][0] if named else "level"
        )
    (level, row), *_ = named
    if meter is not None and billing_entity is None:
        raise InvalidRequest("invalid_value", "A meter's limit names its billing_entity.", "meter")
    return Owner(
        Level.METER.value if meter is not None else level,
        row.customer_id,
        api_key,
        workspace,
        organization,
        billing_entity,
        meter,
    )


def create_limit(owner: Owner, amount: Decimal, **terms: Unpack[LimitTerms]) -> SpendLimit:
    """Set a limit. What its window has spent already counts.

    `currency` and `time_zone` are those of who pays, unless they are given: an organization's payers may
    differ. Locks the customer's payers. Raises InvalidRequest; Unprocessable `above_ceiling` for a
    customer's limit beyond staff's; Conflict when there is one already.
    """
    window, hours = _check_window(terms.get("window", Span.BILLING_PERIOD), terms.get("hours"))
    currency, zone = _money_and_zone(owner, terms.get("currency"), terms.get("time_zone"), clock.now())
    limit = SpendLimit(
        **owner.columns(),
        amount=_check_amount(amount),
        currency=currency,
        time_zone=zone,
        window=window,
        hours=hours,
        kind=_check_choice(Kind.values, terms.get("kind", Kind.HARD), "kind"),
        thresholds=_check_thresholds(terms.get("thresholds")),
        set_by=_check_choice(SetBy.values, terms.get("set_by", SetBy.STAFF), "set_by"),
    )
    with transaction.atomic():
        _lock_payers(owner.customer_id)
        limit.created_at = clock.now()  # under the locks, so that no charge before it was recorded later
        _check_ceiling(limit)
        _check_alone(limit)
        limit.save()
        count_what_was_spent(limit, limit.created_at)
    return limit


def change_limit(limit: SpendLimit, **changes: Unpack[LimitChanges]) -> SpendLimit:
    """Change a limit; what it has counted stays, and so do the alerts that the new amount has reached.

    Raises Conflict for one that has ended, Unprocessable and Conflict as `create_limit`.
    """
    now = clock.now()
    with transaction.atomic():
        limit = _lock(limit)
        if "amount" in changes:
            limit.amount = _check_amount(changes["amount"])
        if "kind" in changes:
            limit.kind = _check_choice(Kind.values, changes["kind"], "kind")
        if "thresholds" in changes:
            limit.thresholds = _check_thresholds(changes["thresholds"])
        _check_ceiling(limit)
        _check_alone(limit)
        limit.save(update_fields=list(LimitChanges.__annotations__))
        if "amount" in changes or "thresholds" in changes:
            remember_reached(limit, now)
        return limit


def end_limit(limit: SpendLimit) -> SpendLimit:
    """Let a limit hold no more. Raises Conflict for one that has ended."""
    with transaction.atomic():
        limit = _lock(limit)
        limit.ended_at = clock.now()
        limit.save(update_fields=["ended_at"])
        return limit


def prune_counters(now: datetime) -> int:
    """Delete the slots that have left their rolling windows long ago; how many."""
    return prune_slots(driver(), now)


def ceiling_of(limit: SpendLimit) -> Decimal | None:
    """The lowest amount of staff's hard limits for the same level, window and currency; None for no bound."""
    rows = _beside(limit).filter(set_by=SetBy.STAFF, kind=Kind.HARD)
    return rows.order_by("amount").values_list("amount", flat=True).first()


def _beside(limit: SpendLimit) -> QuerySet[SpendLimit]:
    """What stands at the level of a limit for the same window and currency."""
    same = {
        name: getattr(limit, f"{name}_id")
        for name in ("api_key", "workspace", "organization", "billing_entity", "meter")
    }
    terms = {name: getattr(limit, name) for name in ("level", "window", "hours", "currency")}
    return SpendLimit.objects.filter(ended_at=None, **same, **terms)


def _lock(limit: SpendLimit) -> SpendLimit:
    # Its counters are guarded by its payer, or by the only one that its customer has.
    if limit.billing_entity_id is not None:
        lock_accounts(driver(), [(limit.customer_id, limit.billing_entity_id)])
    else:
        _lock_payers(limit.customer_id)
    send_limit_lock(driver(), [limit.pk])
    limit = SpendLimit.objects.select_related("meter").get(pk=limit.pk)
    if limit.ended_at is not None:
        raise Conflict("already_ended", "This limit has ended; set a new one.")
    return limit


def _lock_payers(customer_id: int) -> None:
    """So that no charge is under way that the limit would neither find nor count."""
    payers = BillingEntity.objects.filter(customer_id=customer_id).order_by("pk").values_list("pk", flat=True)
    lock_accounts(driver(), [(customer_id, pk) for pk in payers])


def _check_ceiling(limit: SpendLimit) -> None:
    if limit.set_by != SetBy.CUSTOMER:
        return
    ceiling = ceiling_of(limit)
    if ceiling is not None and limit.amount > ceiling:
        raise Unprocessable("above_ceiling", "The operator's limit here is lower than this.", "amount")


def _check_alone(limit: SpendLimit) -> None:
    if _beside(limit).filter(set_by=limit.set_by, kind=limit.kind).exclude(pk=limit.pk).exists():
        raise Conflict(*ALREADY)


def _check_amount(amount: Decimal) -> Decimal:
    if amount < 0:
        raise InvalidRequest("out_of_range", "amount may not be below zero.", "amount")
    return amount


def _check_choice(choices: Sequence[str], value: str, param: str) -> str:
    if value not in choices:
        raise InvalidRequest("invalid_choice", f"{param} must be one of {', '.join(choices)}.", param)
    return value


def _check_window(window: str, hours: int | None) -> tuple[str, int | None]:
    _check_choice(Span.values, window, "window")
    if window != Span.ROLLING:
        if hours is not None:
            raise InvalidRequest("invalid_value", "Only a rolling window has hours.", "hours")
        return window, None
    if hours is None:
        raise InvalidRequest("required", "A rolling window needs its hours.", "hours")
    if not 1 <= hours <= HOURS_MAX:
        raise InvalidRequest("out_of_range", f"hours must be 1 to {HOURS_MAX}.", "hours")
    return window, hours


def _check_thresholds(thresholds: Sequence[int] | None) -> list[int]:
    if thresholds is None:
        return default_thresholds()
    if any(not 1 <= threshold <= THRESHOLD_MAX for threshold in thresholds):
        raise InvalidRequest(
            "out_of_range", f"thresholds are percents of 1 to {THRESHOLD_MAX}.", "thresholds"
        )
    return sorted(set(thresholds))


def _money_and_zone(owner: Owner, currency: str | None, zone: str | None, now: datetime) -> tuple[str, str]:
    payer = payer_of(owner, now)
    if currency is None and payer is None:
        says = "Nobody pays here yet, so name the limit's currency."
        raise InvalidRequest("required", says, "currency")
    currency = check_currency(currency) if currency is not None else payer.currency  # type: ignore[union-attr]
    if owner.billing_entity is not None and currency != owner.billing_entity.currency:
        raise Unprocessable("currency_mismatch", "This billing entity has another currency.", "currency")
    if zone is not None:
        return currency, check_time_zone(zone)
    return currency, payer.time_zone if payer is not None else "UTC"


def payer_of(owner: Owner, now: datetime) -> BillingEntity | None:
    """Who pays at this level now: of an organization, the oldest payer in it or of its customer."""
    if owner.billing_entity is not None:
        return owner.billing_entity
    if owner.organization is not None:
        rows = BillingEntity.objects.filter(customer_id=owner.customer_id).order_by("pk")
        return rows.filter(organization=owner.organization).first() or rows.first()
    workspace_id = owner.workspace.pk if owner.workspace is not None else None
    if owner.api_key is not None:
        workspace_id = owner.api_key.workspace_id
    is_running = (Q(starts_at=None) | Q(starts_at__lte=now)) & (Q(ends_at=None) | Q(ends_at__gt=now))
    running = PayerAssignment.objects.filter(is_running, workspace_id=workspace_id or 0)
    found = running.select_related("billing_entity").first()
    return None if found is None else found.billing_entity
