"""Usage to seal, and what was sealed of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from billing.charging import Mode
from billing.models import Seal
from tests.billing.world import Tenant, charge

NOW: Final = datetime(2026, 1, 15, 12, tzinfo=UTC)
PER_TOKEN: Final = {"key": "tok", "meter": "tokens", "model": "per_unit", "unit_price": "0.01"}
PROPERTIES: Final[dict[str, Any]] = {"tokens": 5, "who": "olga"}


def use(tenant: Tenant, times: int, first: int = 0, **fields: Any) -> None:
    """Calls of a user, under the keys k0, k1 and so on, one number each."""
    sent = {"properties": PROPERTIES, "user": "olga"} | fields
    for number in range(first, first + times):
        charge(tenant, f"k{number}", Mode.REPORT, **sent)


def seals(tenant: Tenant) -> list[Seal]:
    """A payer's seals, in order."""
    rows = Seal.objects.filter(customer_id=tenant.customer.pk, billing_entity_id=tenant.payer.pk)
    return list(rows.order_by("from_seq"))
