"""Credit grants: what is left of them, and which charges consumed them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from django.db.models import QuerySet

from accounts.models import Currency
from accounts.scoping import Viewer, visible
from billing.models import CreditGrant, Transfer
from billing.reports.customer import CustomerFrame
from core.errors import NotFound
from core.ids import hot_id, row_id
from core.numbers import CONTEXT

OF_CHARGES: Final = frozenset({Transfer.Reason.USAGE, Transfer.Reason.REVERSAL})


@dataclass(frozen=True, slots=True)
class GrantRow:
    """A grant as lists show it; `status` as of the moment of looking."""

    grant: CreditGrant
    status: str
    payer_name: str
    zone: str
    unit: str | Currency

    @property
    def public_id(self) -> str:
        """The id that the outside sees."""
        return self.grant.public_id

    @property
    def title(self) -> str:
        """Its name, or what kind it is."""
        return self.grant.name or f"{self.grant.get_kind_display()} grant"

    @property
    def used(self) -> Decimal:
        """What is not left: burnt, expired, or taken by an overdraft."""
        return CONTEXT.subtract(self.grant.amount, self.grant.remaining)

    @property
    def scope(self) -> str:
        """The components that it pays for; empty for all."""
        return ", ".join(self.grant.components)


@dataclass(frozen=True, slots=True)
class GrantMove:
    """A transfer into or out of a grant. `charge_id`: the charge that consumed it, or gave value back."""

    transfer: Transfer
    charge_id: str
    unit: str | Currency
    zone: str


def grant_status(grant: CreditGrant, now: datetime) -> str:
    """`scheduled open used expired voided`: what a grant is at `now`."""
    if grant.voided_at is not None:
        return "voided"
    if grant.expires_at is not None and grant.expires_at <= now:
        return "expired"
    if not grant.remaining:
        return "used"
    return "scheduled" if grant.effective_at > now else "open"


def describe_grants(
    frame: CustomerFrame, units: Mapping[str, Currency], now: datetime, grants: Sequence[CreditGrant]
) -> list[GrantRow]:
    """The grants of a page; no statement."""
    rows = []
    for grant in grants:
        payer = frame.payer(grant.billing_entity_id)
        assert payer is not None, "a grant belongs to a payer of its customer"
        unit = units.get(payer.currency, payer.currency)
        rows.append(GrantRow(grant, grant_status(grant, now), payer.name, payer.time_zone, unit))
    return rows


def find_grant(viewer: Viewer, frame: CustomerFrame, public: str) -> CreditGrant:
    """A grant of the customer; raises NotFound."""
    grants = visible(CreditGrant, viewer).filter(customer_id=frame.customer.pk)
    grant = grants.filter(pk=row_id("grt", public)).first()
    if grant is None:
        raise NotFound("not_found", "There is no such grant.")
    return grant


def moves_of(viewer: Viewer, grant: CreditGrant) -> QuerySet[Transfer]:
    """The transfers of a grant; order them by `-seq`, `-position`, which its payer's numbers serve."""
    return visible(Transfer, viewer).filter(
        customer_id=grant.customer_id, billing_entity_id=grant.billing_entity_id, grant_id=grant.pk
    )


def describe_moves(row: GrantRow, transfers: Sequence[Transfer]) -> list[GrantMove]:
    """What transfers did to the grant, with the charges behind them; no statement."""
    return [
        GrantMove(
            transfer=transfer,
            charge_id=_charge_id(transfer),
            unit=row.unit,
            zone=row.zone,
        )
        for transfer in transfers
    ]


def _charge_id(transfer: Transfer) -> str:
    if transfer.reason not in OF_CHARGES:
        return ""
    try:
        return hot_id("ch", transfer.customer_id, UUID(transfer.reference))
    except ValueError:
        return ""
