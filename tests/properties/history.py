"""A machine that lets subscriptions live: usage in time and late, reversals, changes of version at once and
backdated, pauses, coupons, and time in which periods close and credits come."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from billing.charging import Charged, Mode, Recorded, charge_many
from billing.closing import close_periods
from billing.costs import correct_cost
from billing.margin_floors import remove_floor, set_floor
from billing.models import PayerMarginFloor, Reversal
from billing.periods import book_base_fees
from billing.recompute import charges_of, is_proved, recompute_charges
from billing.recurring_credits import release_credits
from billing.replay import replay_differences
from billing.reversals import reverse_event
from billing.subscriptions import (
    cancel_subscription,
    change_subscription,
    pause_subscription,
    resume_subscription,
    start_subscription,
)
from billing.vendor_bills import apply_bills, begin_bill, load_bill
from billing.vendor_bills.verbs import unattributed
from core import clock
from core.errors import Conflict, Unprocessable
from core.sql import driver
from metering.event_values import CostPart
from metering.models import UsageEvent
from pricing.coupons import create_coupon, redeem_coupon
from pricing.models import PlanVersion, Subscription
from tests.billing.invariants import broken_invariants
from tests.billing.world import START, Tenant, make_meter, make_tenant, make_version, request

TIERS = [{"up_to": "5", "unit_price": "1", "flat_fee": "0.3"}, {"up_to": None, "unit_price": "0.25"}]
CREDIT = {"key": "monthly", "amount": "3", "rollover": "1", "priority": 5}
FEE = {"key": "platform", "amount": "2", "timing": "in_arrears", "prorate": True}
METERS: dict[str, dict[str, Any]] = {
    "tokens": {"group_by": ["region"]},
    "calls": {"aggregation": "count"},
    "absorbed": {"property_path": "tokens", "late_policy": "absorb"},
    "peak": {"aggregation": "max", "property_path": "tokens"},
    "people": {"aggregation": "unique", "property_path": "person"},
    "mean": {"aggregation": "avg", "property_path": "tokens", "late_policy": "absorb"},
    "level": {"aggregation": "weighted_sum", "property_path": "tokens", "carry_over": True},
    "last": {"aggregation": "latest", "property_path": "tokens", "late_policy": "note"},
}
MATRIX = {
    "model": "matrix",
    "dimensions": ["region"],
    "cells": [{"match": {"region": "eu"}, "unit_price": "0.3"}],
    "default_unit_price": "0.1",
}
COMPONENTS: list[dict[str, Any]] = [
    {"key": "graduated", "meter": "tokens", "model": "graduated", "tiers": TIERS, "included": "1"},
    {"key": "volume", "meter": "calls", "model": "volume", "tiers": TIERS, "minimum": "3", "maximum": "4"},
    {"key": "grouped", "meter": "tokens", "model": "package", "package_size": "3", "package_price": "0.5"}
    | {"group_by": ["region"], "discount_percent": "10", "minimum": "1"},
    {"key": "rounded", "meter": "absorbed", "model": "per_unit", "unit_price": "0.7"}
    | {"quantity_rounding": {"mode": "up", "to": "2"}, "minimum": "2"},
    {"key": "share", "meter": "tokens", "model": "percentage", "rate": "0.03", "fixed_fee": "0.1"}
    | {"free_transactions": 2, "min_per_transaction": "0.15"},
    {"key": "tax", "meter": "tokens", "model": "percentage", "rate": "0.01", "max_per_transaction": "0.05"},
    {"key": "slices", "meter": "tokens", "model": "graduated_percentage"}
    | {"tiers": [{"up_to": "7", "rate": "0.1"}, {"up_to": None, "rate": "0.01", "flat_fee": "0.2"}]},
    {"key": "regions", "meter": "tokens"} | MATRIX,
    {"key": "cost", "meter": "calls", "model": "cost_plus", "markup": "0.25"},
    {"key": "peak", "meter": "peak", "model": "graduated", "tiers": TIERS, "group_by": ["region"]},
    {"key": "people", "meter": "people", "model": "per_unit", "unit_price": "0.7", "group_by": ["region"]},
    {"key": "zero", "meter": "people", "model": "graduated", "tiers": TIERS, "bill_zero_usage": True},
    {"key": "mean", "meter": "mean", "model": "per_unit", "unit_price": "0.1", "minimum": "0.5"},
    {"key": "level", "meter": "level", "model": "per_unit", "unit_price": "0.01"},
    {"key": "last", "meter": "last", "model": "volume", "tiers": TIERS},
]
CALLS = st.fixed_dictionaries(
    {
        "tokens": st.decimals("0", "9", places=1),
        "region": st.sampled_from(["eu", "us", None]),
        "person": st.sampled_from("ab"),
        "cost": st.sampled_from([None, "0", "0.5"]),
        "hours_ago": st.sampled_from([0, 1, 20, 24 * 5, 24 * 12, 24 * 34]),
    }
)


class History(RuleBasedStateMachine):
    """One payer; at its end, all that was booked is what its events come to by its own history."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START + timedelta(days=2)
        self.keys = 0
        clock.use(self._now)
        self._savepoint = transaction.savepoint()

    def _now(self) -> datetime:
        return self.now

    @initialize(
        is_invoiced=st.booleans(),
        has_coupons=st.booleans(),
        calls=st.lists(CALLS, min_size=2, max_size=4),
        currency=st.sampled_from(["USD", "JPY", "KWD"]),
        zone=st.sampled_from(["UTC", "Asia/Kathmandu", "America/New_York"]),
        day=st.sampled_from([1, 31]),
    )
    def open(
        self,
        is_invoiced: bool,
        has_coupons: bool,
        calls: list[dict[str, Any]],
        currency: str = "USD",
        zone: str = "UTC",
        day: int = 1,
    ) -> None:
        """Meters, two versions that differ in everything, and a subscription that began in January.

        From its 31st day on its periods follow that day, else they are calendar months.
        """
        self.currency, starts_at = currency, START + timedelta(days=day - 1)
        self.now = starts_at + timedelta(days=2)
        for key, fields in METERS.items():
            make_meter(key, **fields)
        dearer = [component | _dearer(component) for component in COMPONENTS]
        terms: dict[str, Any] = {"currency": currency, "anchor": "calendar" if day == 1 else "subscription"}
        rich = terms | {"credits": [CREDIT], "base_fees": [FEE], "minimum_spend": "15"}
        rich["margin_floor"] = {"min_margin": "0.4", "min_volume": "3"}
        self.versions: list[PlanVersion] = [
            make_version(COMPONENTS, **rich),
            make_version(dearer[::2], **terms, minimum_spend="4", proration="day"),
        ]
        settlement = "wallet_then_invoice" if is_invoiced else "wallet_only"
        payer: dict[str, Any] = {"settlement": settlement, "currency": currency, "time_zone": zone}
        self.tenant: Tenant = make_tenant(balance="20", **payer)
        subscription = start_subscription(self.tenant.payer, self.versions[0], starts_at=starts_at)
        create_coupon({"key": "tenth", "percent": "10", "components": ["graduated", "volume", "mean"]})
        create_coupon({"key": "two", "amount": "2", "currency": currency})
        for key in ("tenth", "two") if has_coupons else ():
            redeem_coupon(subscription, key, self.now)
        self.use(calls)

    @rule(calls=st.lists(CALLS, min_size=1, max_size=5))
    def use(self, calls: list[dict[str, Any]]) -> None:
        """Usage is reported, much of it late."""
        for outcome in charge_many([self._request(call) for call in calls]):
            assert isinstance(outcome, Charged | Recorded), outcome

    @rule(which=st.integers(0, 1_000))
    def reverse(self, which: int) -> None:
        """Any event that counts is reversed."""
        gone = Reversal.objects.filter(cause="event").values("event_id")
        events = list(UsageEvent.objects.exclude(id__in=gone).order_by("seq"))
        if events:
            reverse_event(events[which % len(events)], reason="A mistake")

    @rule(quarters=st.sampled_from([0, 1, 2, 4]), which=st.integers(0, 1))
    def move(self, quarters: int, which: int) -> None:
        """The subscription is changed to a version: now (4), or backdated as far as nothing is closed (0)."""
        subscription = Subscription.objects.filter(ends_at=None).latest("starts_at")
        closed = subscription.periods.filter(status="closed").order_by("ends_at").last()
        first = max(subscription.starts_at, subscription.starts_at if closed is None else closed.ends_at)
        if first <= self.now:
            at = first + (self.now - first) * quarters / 4
            self._unless_refused(
                lambda: change_subscription(subscription, version=self.versions[which], at=at)
            )

    @rule()
    def pause_or_resume(self) -> None:
        """The subscription rests, or goes on."""
        subscription = Subscription.objects.filter(ends_at=None).latest("starts_at")
        verb = resume_subscription if subscription.status == "paused" else pause_subscription
        self._unless_refused(lambda: verb(subscription))

    @rule(which=st.integers(0, 1), credit_unused=st.booleans())
    def begin_again(self, which: int, credit_unused: bool) -> None:
        """The subscription ends now, and another one begins."""

        def end_and_start() -> None:
            subscription = Subscription.objects.filter(ends_at=None).latest("starts_at")
            cancel_subscription(subscription, credit_unused=credit_unused)
            start_subscription(self.tenant.payer, self.versions[which], starts_at=self.now)

        self._unless_refused(end_and_start)

    def _unless_refused(self, verb: Callable[[], object]) -> None:
        """Do something that usage of this very instant may stand against; then nothing has happened."""
        with suppress(Conflict), transaction.atomic():
            verb()

    @rule(which=st.integers(0, 1_000), amount=st.sampled_from([None, "0", "0.3", "7"]))
    def learn(self, which: int, amount: str | None) -> None:
        """What an event cost becomes known, in a currency that compares or (None) in one that does not."""
        gone = Reversal.objects.filter(cause="event").values("event_id")
        events = list(UsageEvent.objects.exclude(id__in=gone).order_by("seq"))
        if events:
            part = CostPart("v", Decimal(amount or 1), self.currency if amount else "EUR")
            correct_cost(events[which % len(events)], (part,))

    @rule(total=st.sampled_from([None, "0", "1.23", "40"]), model=st.sampled_from(["", "m"]))
    def bill(self, total: str | None, model: str) -> None:
        """A vendor's bill of the month comes, and is applied in place of the one before it."""
        if total is not None and self.currency == "JPY":
            total = total.partition(".")[0]  # there is no smaller coin
        terms: dict[str, Any] = {
            "vendor": "v",
            "month": self.now.date(),
            "currency": self.currency,
            "model": model,
        }
        try:
            bill = begin_bill(load_bill(**terms, total=None if total is None else Decimal(total)))
        except (Conflict, Unprocessable):
            return
        assert apply_bills() == 1
        bill.refresh_from_db()
        assert total is None or bill.booked + bill.spread + (unattributed(bill) or 0) == Decimal(total)

    @rule(share=st.sampled_from([None, "0", "0.5", "1"]))
    def floor(self, share: str | None) -> None:
        """Staff gives the payer a margin floor of its own, or takes it away."""
        if share is not None:
            set_floor(self.tenant.payer, min_margin=Decimal(share), action="deny")
        elif PayerMarginFloor.objects.exists():
            remove_floor(self.tenant.payer)

    @rule(days=st.integers(1, 25))
    def wait(self, days: int) -> None:
        """Time passes; what is due is done, and done again."""
        self.now += timedelta(days=days)
        for _ in range(2):
            book_base_fees(self.now)
            release_credits(self.now)
            close_periods(self.now)

    @invariant()
    def books_agree(self) -> None:
        """What DESIGN.md section 5 says holds after every step."""
        assert broken_invariants(driver()) == []

    @invariant()
    def history_agrees(self) -> None:
        """What was booked is what the replay comes to."""
        if hasattr(self, "tenant"):
            assert replay_differences(self.tenant.payer) == []

    def teardown(self) -> None:
        """Every charge and every reversal is proved; then all of it is forgotten."""
        try:
            for stored, again in recompute_charges(charges_of(self.tenant.customer.pk, self.tenant.payer.pk)):
                assert is_proved(stored, again), (stored.lines, again)
        finally:
            transaction.savepoint_rollback(self._savepoint)
            clock.use(None)

    def _request(self, call: dict[str, Any]) -> Any:
        self.keys += 1
        properties = {name: call[name] for name in ("tokens", "region", "person")} | {"model": "m"}
        at = max(START, self.now - timedelta(hours=call["hours_ago"]))
        costs = [{"vendor": "v", "amount": call["cost"], "currency": self.currency}] if call["cost"] else None
        fields: dict[str, Any] = {"properties": properties, "occurred_at": at.isoformat()}
        return request(
            self.tenant, f"k{self.keys}", Mode.REPORT, **fields | ({"costs": costs} if costs else {})
        )


def _dearer(component: dict[str, Any]) -> dict[str, Any]:
    """A change of price for the other version."""
    if "unit_price" in component:
        return {"unit_price": str(Decimal(component["unit_price"]) * 2)}
    if component["model"] in ("graduated", "volume"):
        return {"tiers": [{"up_to": "3", "unit_price": "2"}, {"up_to": None, "unit_price": "0.5"}]}
    return {}
