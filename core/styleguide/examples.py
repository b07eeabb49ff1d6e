"""Made figures for the style guide: always the same ones, and none of anybody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from random import Random

from core.display.charts import Chart, Series

NOW = datetime(2026, 11, 23, 14, 5, 7, tzinfo=UTC)
_NAMES = """
    Northwind Labs, Harbour Media, Quill & Co, Studio Ostrava, Meridian Health, Kestrel Robotics,
    Pale Blue Audio, Fjord Analytics, Tessera Games, Ink & Echo Podcasts, Lindqvist Logistik,
    Orchard Education, Basalt Security, Papaya Travel, Gröna Kraft, Viewfinder,
    Cobalt Insurance Group of the Northern and Western Territories
"""
_STATES = ("active", "active", "active", "active", "trialing", "past_due", "suspended", "closed")
_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Kolkata")


@dataclass(frozen=True)
class ExampleCustomer:
    """A row of the example list."""

    name: str
    external_id: str
    public_id: str
    status: str
    plan: str
    currency: str
    zone: str
    calls: Decimal
    revenue: Decimal
    cost: Decimal | None
    margin: Decimal | None
    balance: Decimal
    last_call_at: datetime


def example_customers(count: int = 137) -> list[ExampleCustomer]:
    """Customers of all sorts: a very long name, a loss, an unknown cost, an empty wallet."""
    dice, names = Random(7), [name.strip() for name in _NAMES.split(",")]  # noqa: S311 - not a secret
    return [_customer(dice, names[index % len(names)], index) for index in range(count)]


def _customer(dice: Random, name: str, index: int) -> ExampleCustomer:
    revenue = Decimal(dice.randrange(0, 4_200_000)) / 100
    cost = None if index % 11 == 4 else revenue * dice.randrange(20, 130) / 100
    return ExampleCustomer(
        name=name if index < 17 else f"{name} {index // 17 + 1}",
        external_id=f"crm-{4100 + index}",
        public_id=f"cus_{index + 40:x}",
        status=_STATES[dice.randrange(len(_STATES))],
        plan=("Pro", "Scale", "Flat", "Enterprise")[index % 4],
        currency=("USD", "EUR", "JPY")[index % 3],
        zone=_ZONES[index % 4],
        calls=Decimal(dice.randrange(1, 9_000_000)),
        revenue=revenue,
        cost=cost,
        margin=None if cost is None or not revenue else (revenue - cost) / revenue,
        balance=Decimal(dice.randrange(-40_000, 900_000)) / 1000,
        last_call_at=NOW - timedelta(seconds=dice.randrange(3, 900_000)),
    )


def example_course(seed: int, length: int = 30, least: int = 40) -> list[Decimal]:
    """A plausible course of daily figures, with weekends."""
    dice = Random(seed)  # noqa: S311 - not a secret
    return [
        Decimal(least + day * 3 + dice.randrange(60) - (45 if day % 7 in (4, 5) else 0)) * 7 + Decimal("0.5")
        for day in range(length)
    ]


def example_charts() -> list[Chart]:
    """A stacked one, a line with the period before, two beside each other, a ratio, and an empty one."""
    days = [(NOW - timedelta(days=29 - day)).strftime("%-d %b") for day in range(30)]
    revenue, cost = example_course(1), [value * Decimal("0.58") for value in example_course(2)]
    meters = ("tokens in", "tokens out", "images")
    stacked = [
        Series(label=meter, values=example_course(place), colour=place)
        for place, meter in enumerate(meters, 1)
    ]
    compared = [
        Series(label="This period", values=revenue),
        Series(label="Period before", values=example_course(9, least=60), is_faint=True, colour=6),
    ]
    known = [None if day in (11, 12) else value for day, value in enumerate(cost)]
    beside = [Series(label="Revenue", values=revenue), Series(label="Cost", values=known, colour=2)]
    margin = Series(
        label="Margin", values=[(r - c) / r for r, c in zip(revenue, cost, strict=True)], colour=3
    )
    money = partial(Chart, labels=days, unit="USD")
    note = "Complete until 23 Nov 2026, 14:05 UTC"
    return [
        money(
            key="by-meter", title="Revenue by meter", series=stacked, is_stacked=True, open_from=29, note=note
        ),
        Chart(
            key="calls",
            title="Calls",
            labels=days,
            measure="quantity",
            unit="calls",
            kind="line",
            open_from=29,
            series=compared,
        ),
        money(key="revenue-cost", title="Revenue and cost", series=beside),
        Chart(key="margin", title="Margin", labels=days, measure="ratio", kind="line", series=[margin]),
        money(key="nothing", title="Images", series=[Series(label="Images", values=[None] * 30)]),
    ]
