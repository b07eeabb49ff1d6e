"""The payers and prices that properties are looked for with: every way to settle, every kind of model."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pricing.models import PlanVersion
from tests.billing.world import make_meter, make_version

TIERS = [{"up_to": "5", "unit_price": "1", "flat_fee": "0.3"}, {"up_to": None, "unit_price": "0.25"}]
COMPONENTS: list[dict[str, Any]] = [
    {"key": "graduated", "meter": "tokens", "model": "graduated", "tiers": TIERS, "included": "1"},
    {"key": "volume", "meter": "calls", "model": "volume", "tiers": TIERS, "maximum": "4"},
    {"key": "grouped", "meter": "tokens", "model": "package", "package_size": "3", "package_price": "0.5"}
    | {"group_by": ["region"], "discount_percent": "10"},
    {"key": "peak", "meter": "peak", "model": "per_unit", "unit_price": "0.1"},
    {"key": "people", "meter": "people", "model": "per_unit", "unit_price": "0.7"},
]
SETTLEMENTS: list[dict[str, Any]] = [
    {"overdraft": Decimal(0)},
    {"overdraft": Decimal("1.5")},
    {"settlement": "wallet_then_invoice", "credit_limit": Decimal(3)},
    {"settlement": "invoice_only", "credit_limit": Decimal(4)},
    {"overdraft": None},
]


def make_prices() -> PlanVersion:
    """A version of all COMPONENTS, with the meters that they price."""
    make_meter("tokens", group_by=["region"])
    make_meter("calls", aggregation="count")
    make_meter("peak", aggregation="max", property_path="tokens")
    make_meter("people", aggregation="unique", property_path="person")
    return make_version(COMPONENTS)
