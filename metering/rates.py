"""Cost rates and exchange rates: what vendors take, and how costs compare. Never a price."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import Currency
from core import clock
from core.currencies import ISO_DECIMALS
from core.errors import Conflict, InvalidRequest
from core.numbers import plain
from metering.aggregation import parse_filter
from metering.meters import PATH_LENGTH_MAX, check_filter_size, storable_filter
from metering.models import CostRate, ExchangeRate


@transaction.atomic
def create_cost_rate(
    *,
    vendor: str,
    event: str,
    unit_cost: Decimal,
    currency: str,
    starts_at: datetime,
    property_path: str | None = None,
    conditions: Any = None,
    ends_at: datetime | None = None,
) -> CostRate:
    """Make a rate: `unit_cost` per unit of the event's property (None: per event) in `[starts_at, ends_at)`.

    `conditions` is a filter as on a meter. A later rate for the same thing takes over from its `starts_at`.
    Locks rates of the same thing. Raises InvalidRequest, or Conflict when there is a rate from that instant.
    """
    if currency not in ISO_DECIMALS:
        raise InvalidRequest("unknown_currency", "currency must be an ISO 4217 code such as USD.", "currency")
    if unit_cost < 0:
        raise InvalidRequest("invalid_value", "A cost is at least 0.", "unit_cost")
    _check_path(property_path)
    check_filter_size(conditions)
    wanted = parse_filter(conditions)
    _check_period(starts_at, ends_at)
    same = {"vendor": vendor, "event": event, "property_path": property_path, "starts_at": starts_at}
    for other in CostRate.objects.filter(**same).order_by("pk").select_for_update():
        if parse_filter(other.filter) == wanted:
            raise Conflict(
                "cost_rate_exists",
                f"From that instant on it is {plain(other.unit_cost)} {other.currency};"
                " another price takes a rate with a later starts_at.",
                "starts_at",
            )
    return CostRate.objects.create(
        **same,
        filter=storable_filter(conditions or []),
        unit_cost=unit_cost,
        currency=currency,
        ends_at=ends_at,
        created_at=clock.now(),
    )


@transaction.atomic
def end_cost_rate(rate: CostRate, *, ends_at: datetime | None) -> CostRate:
    """Give a rate another end; None = it goes on. Its price stays: costs were computed from it. Locks it."""
    rate = CostRate.objects.select_for_update().get(pk=rate.pk)
    _check_period(rate.starts_at, ends_at)
    rate.ends_at = ends_at
    rate.save(update_fields=["ends_at"])
    return rate


def create_exchange_rate(*, base: str, quote: str, rate: Decimal, starts_at: datetime) -> ExchangeRate:
    """From `starts_at` on, one unit of `base` is worth `rate` of `quote`.

    Currencies are ISO codes or the operator's own units. Raises InvalidRequest, or Conflict when there is a
    rate from that very instant.
    """
    units = set(Currency.objects.filter(code__in=[base, quote]).values_list("code", flat=True))
    for param, code in (("base", base), ("quote", quote)):
        if code not in ISO_DECIMALS and code not in units:
            raise InvalidRequest("unknown_currency", f"There is no currency {code!r}.", param)
    if base == quote:
        raise InvalidRequest("invalid_value", "A currency has no rate to itself.", "quote")
    if rate <= 0:
        raise InvalidRequest("invalid_value", "A rate is more than 0.", "rate")
    try:
        with transaction.atomic():
            return ExchangeRate.objects.create(
                base=base, quote=quote, rate=rate, starts_at=starts_at, created_at=clock.now()
            )
    except IntegrityError as error:
        says = f"There is a rate from {base} to {quote} from that very instant."
        raise Conflict("exchange_rate_exists", says, "starts_at") from error


def _check_path(path: str | None) -> None:
    if path is not None and (len(path) > PATH_LENGTH_MAX or not all(path.split("."))):
        raise InvalidRequest(
            "invalid_value", "A property is named by a path such as usage.tokens.", "property"
        )


def _check_period(starts_at: datetime, ends_at: datetime | None) -> None:
    if ends_at is not None and ends_at <= starts_at:
        raise InvalidRequest("invalid_period", "ends_at must be after starts_at.", "ends_at")
