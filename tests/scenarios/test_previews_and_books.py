"""A preview of a change, a pause's price or an end is what is booked when it is done, line by line: at once,
on a date, at the period's end and in the past, for payers who pay in advance and on account, in currencies
with and without decimals."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from billing.models import BookedFee
from core.ids import row_id
from core.instants import instant_text
from core.numbers import plain
from tests.scenarios.life import LifeStory
from tests.scenarios.money import per_unit, tiers

pytestmark = pytest.mark.django_db

PLATFORM = {"key": "platform", "amount": "31", "timing": "in_advance", "prorate": True}
SEATS = {"key": "seats", "unit_amount": "3.1", "timing": "in_advance", "prorate": True}
SUPPORT = {"key": "support", "amount": "7", "timing": "in_arrears", "prorate": True}
WHOLE = {"key": "whole", "amount": "5", "timing": "in_advance", "prorate": False}
GRADUATED = {"key": "tok", "meter": "tok", "model": "graduated", "tiers": tiers(("10", "1"), (None, "0.1"))}
PAYERS: dict[str, dict[str, Any]] = {
    "wallet": {"currency": "USD", "top_up": "1000"},
    "on account": {"currency": "USD", "settlement": "invoice_only", "overdraft": None},
    "yen": {"currency": "JPY", "settlement": "wallet_then_invoice", "top_up": "40"},
    "dinar in Kathmandu": {"currency": "KWD", "top_up": "1000", "time_zone": "Asia/Kathmandu"},
}
LARGE, YEARLY = "large", "yearly"
ACTS: dict[str, tuple[str, dict[str, Any]]] = {
    "a larger plan at once": ("change", {"version": LARGE}),
    "a larger plan with more seats": ("change", {"version": LARGE, "quantities": {"seats": "12"}}),
    "more seats": ("change", {"quantities": {"seats": "12"}}),
    "fewer seats": ("change", {"quantities": {"seats": "0"}}),
    "a part of a seat": ("change", {"quantities": {"seats": "2.5"}}),
    "another cycle": ("change", {"version": YEARLY}),
    "a larger plan on a date": ("change", {"version": LARGE, "at": "2026-03-21T06:30:00Z"}),
    "more seats on a date": ("change", {"quantities": {"seats": "12"}, "at": "2026-03-21T00:00:00Z"}),
    "another cycle on a date": ("change", {"version": YEARLY, "at": "2026-03-21T00:00:00Z"}),
    "a larger plan at the period's end": ("change", {"version": LARGE, "at": "period_end"}),
    "another cycle at the period's end": ("change", {"version": YEARLY, "at": "period_end"}),
    "a larger plan since last week": ("change", {"version": LARGE, "at": "2026-03-05T00:00:00Z"}),
    "another cycle since last week": ("change", {"version": YEARLY, "at": "2026-03-05T00:00:00Z"}),
    "more seats since last week": ("change", {"quantities": {"seats": "12"}, "at": "2026-03-05T00:00:00Z"}),
    "a larger plan since the start": ("change", {"version": LARGE, "at": "2026-03-01T00:00:00Z"}),
    "the end": ("cancel", {}),
    "the end, with the rest back": ("cancel", {"credit_unused": True}),
    "the end on a date, with the rest back": (
        "cancel",
        {"at": "2026-03-21T00:00:00Z", "credit_unused": True},
    ),
    "the end of the period": ("cancel", {"at": "period_end", "credit_unused": True}),
}


CASES = [
    *((act, "wallet", "second") for act in ACTS),
    *((act, "dinar in Kathmandu", "day") for act in ACTS),
    *((act, "yen", "second") for act in list(ACTS)[:6]),
    *((act, "on account", "day") for act in list(ACTS)[11:16]),
]


def versions(life: LifeStory, currency: str, proration: str) -> dict[str, str]:
    """Three versions that differ in price, fees and cycle."""
    terms = {"currency": currency, "proration": proration}
    fees = [PLATFORM, SEATS, SUPPORT, WHOLE]
    dearer = [PLATFORM | {"amount": "62"}, SEATS | {"unit_amount": "1"}, SUPPORT | {"amount": "14"}]
    yearly = [PLATFORM | {"amount": "365"}, SEATS, WHOLE | {"amount": "50"}]
    return {
        "small": life.plan(GRADUATED, base_fees=fees, anchor="subscription", **terms),
        LARGE: life.plan(per_unit("tok", "0.5"), base_fees=dearer, anchor="subscription", **terms),
        YEARLY: life.plan(
            per_unit("tok", "0.25"), base_fees=yearly, interval="year", anchor="subscription", **terms
        ),
    }


def subscribed(life: LifeStory, payer: dict[str, Any], proration: str) -> tuple[str, str, dict[str, str]]:
    """(payer, subscription, versions): on the small plan with 5 seats since March 1st, 22 units used."""
    life.meter("tok")
    made = versions(life, payer["currency"], proration)
    name = life.payer(**payer)
    subscription = life.start(name, made["small"], quantities={"seats": "5"})
    life.report(name, {"tok": 8})
    life.at(3, 7, 5)
    life.report(name, {"tok": 9}, {"tok": 5})
    life.at(3, 11, 12, 20)
    return name, subscription, made


def fees_since(subscription: str, seq: int) -> list[dict[str, str]]:
    """What was booked of the subscription's fees after a number, as previews tell it."""
    rows = BookedFee.objects.filter(subscription_id=row_id("sub", subscription), seq__gt=seq)
    return [
        {
            "fee": row.key,
            "timing": row.timing,
            "covers_from": instant_text(row.covers_start),
            "covers_to": instant_text(row.covers_end),
            "due_at": instant_text(row.due_at),
            "amount": plain(row.amount),
        }
        for row in rows.order_by("seq")
    ]


def last_number() -> int:
    """The highest number of a booked fee."""
    latest = BookedFee.objects.order_by("seq").last()
    return 0 if latest is None else latest.seq


@pytest.mark.parametrize(("act", "payer", "proration"), CASES)
def test_a_preview_is_what_is_booked(life: LifeStory, act: str, payer: str, proration: str) -> None:
    name, subscription, made = subscribed(life, PAYERS[payer], proration)
    verb, given = ACTS[act]
    body = {key: value for key, value in given.items() if key != "version"}
    if "version" in given:
        body["plan_version"] = made[given["version"]]
    before, revenue = last_number(), life.account(name, "revenue")
    preview = life.do(subscription, f"{verb}/preview", **body)
    assert (last_number(), life.account(name, "revenue")) == (before, revenue), "a preview books nothing"
    assert life.do(subscription, f"{verb}/preview", **body) == preview
    life.do(subscription, verb, **body)
    at = datetime.fromisoformat(preview["at"])
    is_scheduled = at > life.now
    if is_scheduled:
        assert fees_since(subscription, before) == [], "nothing is booked before its time"
        life.clock_at(at)
        life.run_due()
    booked = fees_since(subscription, before)
    # What is owed in arrears at the end of March is due whether or not something changes then.
    anyway = [fee for fee in booked if given.get("at") == "period_end" and fee["fee"] == "support"]
    assert [fee for fee in booked if fee not in anyway] == preview["fees"]
    total = sum((Decimal(fee["amount"]) for fee in preview["fees"]), Decimal(preview["usage"]))
    assert plain(total) == preview["total"]
    assert life.account(name, "revenue") - revenue == total + sum(Decimal(fee["amount"]) for fee in anyway)
