"""Coupons: made by plan files or over HTTP, redeemed by subscriptions.

What a redeemed coupon takes off is `pricing.rating.coupons`; whoever draws up a period books it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import transaction

from accounts.models import Currency
from core import clock
from core.currencies import ISO_DECIMALS
from core.database_errors import explain_constraint
from core.errors import Conflict, InvalidRequest, TollgateError, Unprocessable
from pricing.applied import Action, Applied
from pricing.catalog import Catalog, Problem
from pricing.catalog.coupons import CouponSpec, read_coupon
from pricing.cycles import Period
from pricing.models import BillingPeriod, Coupon, CouponRedemption, Subscription
from pricing.rating.coupons import Discount, coupon_holds

WORTH: Final = ("percent", "amount", "currency", "periods", "components", "plans")
"""What is fixed once a coupon was redeemed."""


def create_coupon(document: object) -> Coupon:
    """Make a coupon of a document as the section `coupons` has it; raises Conflict when the key is taken."""
    spec = read_coupon(document)
    _check_currency(spec)
    with transaction.atomic():
        if Coupon.objects.filter(key=spec.key).exists():
            raise Conflict("coupon_exists", f"There is a coupon {spec.key!r} already.", "key")
        return Coupon.objects.create(key=spec.key, created_at=clock.now(), **_columns(spec))


def apply_coupons(catalog: Catalog, now: datetime) -> tuple[list[Applied], list[Problem]]:
    """Make the catalog's coupons, or change them while nobody has redeemed them; locks those that exist.

    A redeemed coupon may be given another name, limit of redemptions and end; all else is a problem.
    """
    rows = Coupon.objects.filter(key__in=list(catalog.coupons)).order_by("pk").select_for_update()
    stored = {coupon.key: coupon for coupon in rows}
    done, problems = [], []
    for key, spec in catalog.coupons.items():
        try:
            _check_currency(spec)
            done.append(Applied("coupon", key, _apply(spec, stored.get(key), now)))
        except TollgateError as error:
            problems.append(catalog.problem(error.code, error.message, "coupons", key, error.param or ""))
    return done, problems


def redeem_coupon(subscription: Subscription, key: str, now: datetime | None = None) -> CouponRedemption:
    """Put a coupon on a subscription: it holds from the period that runs now (or begins next) on.

    Locks the coupon, so that no more redeem it than may. Raises Unprocessable for a coupon that does not fit,
    Conflict when it is used up, over, or on this subscription already.
    """
    now = now or clock.now()
    with transaction.atomic():
        coupon = Coupon.objects.filter(key=key).select_for_update().first()
        if coupon is None:
            raise Unprocessable("unknown_coupon", f"There is no coupon {key[:80]!r}.", "coupon")
        plan = subscription.version.plan
        if coupon.plans and plan.key not in coupon.plans:
            raise Unprocessable("coupon_of_other_plans", f"{key} is not for the plan {plan.key}.", "coupon")
        if coupon.currency and coupon.currency != plan.currency:
            says = f"{key} is in {coupon.currency}, the plan in {plan.currency}."
            raise Unprocessable("currency_mismatch", says, "coupon")
        if subscription.status != Subscription.Status.ACTIVE:
            raise Conflict("not_active", f"The subscription is {subscription.status}.", "subscription")
        if coupon.redeem_before is not None and now >= coupon.redeem_before:
            raise Conflict("coupon_over", f"{key} could be redeemed before {coupon.redeem_before:%Y-%m-%d}.")
        if CouponRedemption.objects.filter(coupon=coupon, subscription=subscription).exists():
            raise Conflict("coupon_redeemed", f"{key} is on this subscription already.", "coupon")
        if coupon.max_redemptions is not None and coupon.redemptions >= coupon.max_redemptions:
            raise Conflict("coupon_used_up", f"{key} was redeemed {coupon.redemptions} times.", "coupon")
        return CouponRedemption.objects.create(
            customer_id=subscription.customer_id,
            coupon=coupon,
            subscription=subscription,
            redeemed_at=now,
        )


def with_coupons(periods: Iterable[BillingPeriod]) -> set[int]:
    """Of the periods' subscriptions, those that have redeemed a coupon."""
    pks = {period.subscription_id for period in periods}
    rows = CouponRedemption.objects.filter(subscription_id__in=pks)
    return set(rows.values_list("subscription_id", flat=True)) if pks else set()


def discounts_in(period: BillingPeriod) -> list[Discount]:
    """The discounts that a subscription's coupons give in one of its periods, in order of redemption."""
    redeemed = CouponRedemption.objects.filter(subscription_id=period.subscription_id)
    rows = list(redeemed.select_related("coupon").order_by("redeemed_at", "pk"))
    if not rows:
        return []
    others = BillingPeriod.objects.filter(subscription_id=period.subscription_id)
    there = [Period(*bounds) for bounds in others.values_list("starts_at", "ends_at")]
    this = Period(period.starts_at, period.ends_at)
    return [
        discount_of(row.coupon)
        for row in rows
        if coupon_holds(this, there, row.redeemed_at, row.coupon.periods)
    ]


def discount_of(coupon: Coupon) -> Discount:
    """The coupon as the pure calculation takes it."""
    return Discount(coupon.percent, coupon.amount, frozenset(coupon.components))


def _apply(spec: CouponSpec, coupon: Coupon | None, now: datetime) -> Action:
    columns = _columns(spec)
    if coupon is None:
        Coupon.objects.create(key=spec.key, created_at=now, **columns)
        return Action.CREATED
    changed = [name for name, value in columns.items() if getattr(coupon, name) != value]
    if not changed:
        return Action.UNCHANGED
    _refuse_frozen(coupon, changed, spec)
    for name in changed:
        setattr(coupon, name, columns[name])
    coupon.save(update_fields=changed)
    return Action.CHANGED


def _refuse_frozen(coupon: Coupon, changed: Iterable[str], spec: CouponSpec) -> None:
    frozen = [name for name in changed if name in WORTH]
    if coupon.redemptions and frozen:
        says = f"{coupon.key!r} was redeemed, so its {frozen[0]} stays: make another coupon."
        raise Conflict("coupon_frozen", says, frozen[0])
    if spec.max_redemptions is not None and spec.max_redemptions < coupon.redemptions:
        says = f"{coupon.key!r} was redeemed {coupon.redemptions} times already."
        raise Conflict("number_out_of_range", says, "max_redemptions")


def _columns(spec: CouponSpec) -> dict[str, object]:
    return {
        "name": spec.name,
        "percent": spec.percent,
        "amount": spec.amount,
        "currency": spec.currency,
        "periods": spec.periods,
        "max_redemptions": spec.max_redemptions,
        "redeem_before": spec.redeem_before,
        "components": list(spec.components),
        "plans": list(spec.plans),
    }


def _check_currency(spec: CouponSpec) -> None:
    if not spec.currency or spec.currency in ISO_DECIMALS:
        return
    if not Currency.objects.filter(code=spec.currency).exists():
        says = f"There is no currency {spec.currency!r}: take an ISO 4217 code or one of your own units."
        raise InvalidRequest("unknown_currency", says, "currency")


explain_constraint(
    "coupon_redemptions_within_limit",
    Conflict,
    "coupon_used_up",
    "The coupon was redeemed as often as it may be.",
    "coupon",
)
explain_constraint(
    "coupon_once_per_subscription",
    Conflict,
    "coupon_redeemed",
    "The coupon is on this subscription already.",
    "coupon",
)
