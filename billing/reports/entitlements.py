"""What a customer's payers are entitled to, and how much of it is left, for pages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from accounts.models import BillingEntity
from billing.entitlements import Entitlement, entitlements_by_payer


@dataclass(frozen=True, slots=True)
class EntitlementRow:
    """A feature of one payer."""

    payer: BillingEntity
    entitlement: Entitlement

    @property
    def unit(self) -> str:
        """What the quantities count."""
        meter = self.entitlement.heard_by
        return "" if meter is None else meter.unit or meter.name


def entitlement_rows(payers: Iterable[BillingEntity], now: datetime) -> list[EntitlementRow]:
    """The entitlements of payers at `now`, each payer's quotas first; a fixed number of statements."""
    rows = list(payers)
    found = entitlements_by_payer(rows, now)
    return [
        EntitlementRow(payer, one)
        for payer in rows
        for one in sorted(found[payer.pk], key=lambda one: (one.used is None, one.feature))
    ]
