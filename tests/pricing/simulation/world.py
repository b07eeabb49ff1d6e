"""Prices of every kind and the usage to simulate them with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from billing.charging import Mode, charge_many
from billing.models import Charge
from pricing.cycles import Period
from pricing.models import PlanVersion
from pricing.simulation import Cohort, PayerResult, compile_versions, simulate
from tests.billing.world import Tenant, make_meter, request

JANUARY = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
QUARTER = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))
TIERS = [{"up_to": "10", "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
MODELS: dict[str, dict[str, Any]] = {
    "per_unit": {"meter": "tokens", "model": "per_unit", "unit_price": "0.01"},
    "graduated": {"meter": "tokens", "model": "graduated", "tiers": TIERS, "included": "2", "maximum": "15"},
    "volume": {"meter": "calls", "model": "volume", "tiers": TIERS},
    "package": {"meter": "tokens", "model": "package", "package_size": "7", "package_price": "2"},
    "rounded": {
        "meter": "tokens",
        "model": "per_unit",
        "unit_price": "0.3",
        "quantity_rounding": {"mode": "up", "to": "5"},
    },
    "rate": {"meter": "tokens", "model": "percentage", "rate": "0.029"},
    "each": {"meter": "tokens", "model": "percentage", "rate": "0.03", "fixed_fee": "0.1"},
    "percentage": {
        "meter": "tokens",
        "model": "percentage",
        "rate": "0.03",
        "fixed_fee": "0.1",
        "free_amount": "4",
        "max_per_transaction": "0.2",
    },
    "graduated_percentage": {
        "meter": "tokens",
        "model": "graduated_percentage",
        "tiers": [{"up_to": "9", "rate": "0.1"}, {"up_to": None, "rate": "0.05", "flat_fee": "1"}],
    },
    "cost_plus": {"meter": "calls", "model": "cost_plus", "markup": "0.25"},
    "grouped": {
        "meter": "tokens",
        "model": "graduated",
        "tiers": TIERS,
        "group_by": ["region"],
        "discount_percent": "10",
    },
    "grouped_by_plan": {"meter": "calls", "model": "volume", "tiers": TIERS, "group_by": ["person"]},
    "matrix": {
        "meter": "tokens",
        "model": "matrix",
        "dimensions": ["region"],
        "cells": [{"match": {"region": "eu"}, "unit_price": "0.5"}],
        "default_unit_price": "0.1",
    },
    "hole": {
        "meter": "tokens",
        "model": "matrix",
        "dimensions": ["region"],
        "cells": [{"match": {"region": "eu"}, "unit_price": "0.5"}],
    },
    "peak": {"meter": "peak", "model": "graduated", "tiers": TIERS},
    "people": {"meter": "people", "model": "graduated", "tiers": TIERS, "group_by": ["region"]},
    "european": {"meter": "european", "model": "per_unit", "unit_price": "0.07"},
}


def components(*names: str) -> list[dict[str, Any]]:
    """These models as a plan's components."""
    return [{"key": name, **MODELS[name]} for name in names]


def make_meters() -> None:
    """The meters that MODELS price."""
    make_meter("tokens", group_by=["region"])
    make_meter("calls", aggregation="count")
    make_meter("peak", aggregation="max", property_path="tokens")
    make_meter("people", aggregation="unique", property_path="person")
    eu = [{"property": "region", "op": "eq", "value": "eu"}]
    make_meter("european", property_path="tokens", filter=eu)


def report(tenant: Tenant, *events: dict[str, Any]) -> None:
    """Report usage, one event after the other, in this order; it is charged whatever it costs."""
    made = [request(tenant, fields.pop("key"), Mode.REPORT, **fields) for fields in map(dict, events)]
    charge_many(made)


def event(key: str, at: datetime, tokens: str = "1", **properties: Any) -> dict[str, Any]:
    """An event that occurred at an instant."""
    return {
        "key": key,
        "occurred_at": at.isoformat(),
        "properties": {"tokens": tokens, **properties},
        "costs": [{"vendor": "v", "amount": "0.01", "currency": "USD"}],
    }


def charged(tenant: Tenant, window: Period = JANUARY) -> Decimal:
    """What the tenant's events of the window were really charged."""
    rows = Charge.objects.filter(billing_entity_id=tenant.payer.pk, occurred_at__gte=window.start)
    amounts = rows.filter(occurred_at__lt=window.end).values_list("amount", flat=True)
    return sum(amounts, Decimal(0))


def run(
    *versions: PlanVersion, window: Period = JANUARY, cohort: Cohort | None = None, **sources: Any
) -> list[PayerResult]:
    """The results of a simulation."""
    found: Sequence[PayerResult] = list(
        simulate(compile_versions(versions), cohort or Cohort(), window, **sources)
    )
    return list(found)
