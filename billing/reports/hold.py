"""One hold with all that hangs on it: who asked, what was expected, what became of it, what moved for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from django.db.models import F, Func, QuerySet, TextField
from django.db.models.fields.json import KeyTransform

from accounts.models import ApiKey, BillingEntity, Currency, Workspace
from accounts.scoping import Viewer, visible
from billing.leases import exposure_of, status_of
from billing.models import (
    Authorization,
    Charge,
    CreditGrant,
    Denial,
    LimitHold,
    Overspend,
    ReRating,
    SpendLimit,
    Transfer,
)
from billing.reports.comparing import currency_units
from billing.reports.limits import name_of, standing_limits, window_of
from billing.reversals.finding import reversals_of
from core.errors import NotFound
from core.ids import hot_id, hot_row
from core.numbers import ZERO
from metering.models import Meter

Status = Authorization.Status
REFUSALS_MAX: Final = 20
_PROPERTIES: Final = Func(
    KeyTransform("properties", F("payload")), function="jsonb_pretty", output_field=TextField()
)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that became of a hold; `at` None: nobody wrote down when. `word` is a status, `amount` in the
    hold's currency."""

    word: str
    at: datetime | None
    amount: Decimal | None = None
    says: str = ""
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reserved:
    """What an open hold reserves of a limit (in money), or of a quota of `meter` (a quantity)."""

    amount: Decimal
    limit: SpendLimit | None = None
    meter: Meter | None = None

    @property
    def name(self) -> str:
        """Whose spend or usage is bounded."""
        if self.limit is not None:
            return name_of(self.limit)
        return "" if self.meter is None else self.meter.name

    @property
    def window(self) -> str:
        """The window of the limit, in words."""
        return "" if self.limit is None else window_of(self.limit)


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """A hold, as it is at `now`. `expected`: the properties that were sent, as JSON, less what was erased."""

    hold: Authorization
    now: datetime
    payer: BillingEntity
    workspace: Workspace | None
    api_key: ApiKey | None
    unit: str | Currency
    expected: str | None
    refusals: Sequence[Denial] = ()
    charges: Sequence[Charge] = ()
    transfers: Sequence[Transfer] = ()
    overspend: Sequence[Overspend] = ()
    reserved: Sequence[Reserved] = ()
    grants: Sequence[tuple[CreditGrant, Decimal]] = field(default=())

    @property
    def is_lease(self) -> bool:
        """Whether it is for many calls, which the client decides by itself."""
        return self.hold.kind == Authorization.Kind.LEASE

    @property
    def state(self) -> str:
        """Its state now, by the API's word: of a lease `open returned expired`."""
        state = self.hold.status_at(self.now)
        return status_of(state) if self.is_lease else state

    @property
    def held(self) -> Decimal:
        """What it reserves now."""
        return self.hold.held if self.hold.status_at(self.now) == Status.AUTHORIZED else ZERO

    @property
    def used(self) -> Decimal:
        """What the calls of a lease have cost."""
        return self.hold.captured_amount or ZERO

    @property
    def exposure(self) -> Decimal:
        """What calls of a lease may still come to that were not reported."""
        return exposure_of(self.state, self.hold.held, self.hold.amount, self.hold.captured_amount)

    @property
    def first_expiry(self) -> datetime:
        """Until when it was to last at first."""
        return self.hold.authorized_at + timedelta(seconds=self.hold.expires_in)

    @property
    def ended_at(self) -> datetime | None:
        """When it reserved nothing any more, by its time or by what became of it; None while it is open."""
        status = self.hold.status_at(self.now)
        return self.hold.expires_at if status == Status.EXPIRED else self.hold.settled_at

    @property
    def event_id(self) -> str:
        """The public id of the event that captured it; empty where none has."""
        row = self.hold
        return "" if row.event_id is None else hot_id("evt", row.customer_id, row.event_id)

    @property
    def metered(self) -> list[tuple[str, Decimal]]:
        """What of the expected price is of each meter; of an amount that was named nobody knows."""
        return [(meter, Decimal(amount)) for meter, amount in sorted(self.hold.metered.items())]

    @property
    def steps(self) -> list[Step]:
        """What became of it, the latest first."""
        return list(_steps(self))[::-1]


def explain_hold(viewer: Viewer, public: str, now: datetime) -> HoldFacts:
    """The hold (`auth_` or `lease_`) of a public id, in a fixed number of statements; raises NotFound."""
    row = find_hold(viewer, public)
    payer = visible(BillingEntity, viewer).select_related("customer").get(pk=row.billing_entity_id)
    workspace = visible(Workspace, viewer).filter(pk=row.workspace_id).first() if row.workspace_id else None
    key = visible(ApiKey, viewer).filter(pk=row.api_key_id).first() if row.api_key_id else None
    charges = list(charges_of_hold(viewer, row))
    moved = visible(Transfer, viewer).filter(**_of_charges(row, charges)).order_by("seq", "position")
    below = visible(Overspend, viewer).filter(**_of_charges(row, charges, has_instant=False))
    return HoldFacts(
        hold=row,
        now=now,
        payer=payer,
        workspace=workspace,
        api_key=key,
        unit=currency_units().get(row.currency, row.currency),
        expected=row.properties,  # type: ignore[attr-defined]
        refusals=list(refused_captures(viewer, row, now)),
        charges=charges,
        transfers=list(moved) if charges else [],
        overspend=list(below) if charges else [],
        reserved=reserved_by(viewer, row, now),
        grants=_counted_on(viewer, row),
    )


def find_hold(viewer: Viewer, public: str) -> Authorization:
    """The hold of a public id, with the `properties` that it was asked with; raises NotFound."""
    is_lease = public.startswith("lease_")
    customer_id, uuid = hot_row("lease" if is_lease else "auth", public)
    kind = Authorization.Kind.LEASE if is_lease else Authorization.Kind.AUTHORIZATION
    rows = visible(Authorization, viewer).filter(customer_id=customer_id, id=uuid, kind=kind)
    row = rows.defer("payload").annotate(properties=_PROPERTIES).first()
    if row is None:
        raise NotFound("not_found", "There is no such hold.")
    return row


def charges_of_hold(viewer: Viewer, row: Authorization) -> QuerySet[Charge]:
    """The charges of the event that captured a hold, in order: its own, what was made of it later, and what
    took those back."""
    charges = visible(Charge, viewer).filter(customer_id=row.customer_id)
    if row.event_id is None:
        return charges.none()
    made: set[tuple[UUID | None, Any]] = {(row.event_id, row.event_recorded_at)}
    for back in reversals_of(row.customer_id, row.event_id):
        made |= {(back.charge_id, back.recorded_at), (back.replaced_by, back.recorded_at)}
    later = visible(ReRating, viewer).filter(customer_id=row.customer_id, event_id=row.event_id)
    made |= set(later.values_list("charge_id", "recorded_at"))
    found = {(pk, at) for pk, at in made if pk is not None}
    return charges.filter(id__in=[pk for pk, _ in found], recorded_at__in={at for _, at in found}).order_by(
        "recorded_at", "seq"
    )


def refused_captures(viewer: Viewer, row: Authorization, now: datetime) -> QuerySet[Denial]:
    """The captures that were refused while it lasted, for more than it held, the latest first."""
    return (
        visible(Denial, viewer)
        .filter(customer_id=row.customer_id, denied_at__gte=row.authorized_at)
        .filter(denied_at__lte=min(now, row.settled_at or now, max(row.expires_at, row.authorized_at)))
        .filter(level="authorization", level_id=row.public_id)
        .order_by("-denied_at", "-id")[:REFUSALS_MAX]
    )


def reserved_by(viewer: Viewer, row: Authorization, now: datetime) -> list[Reserved]:
    """What it reserves of limits and quotas while it is open."""
    if row.status_at(now) != Status.AUTHORIZED:
        return []
    rows = visible(LimitHold, viewer).filter(customer_id=row.customer_id, authorization_id=row.id)
    amounts = dict(rows.values_list("counter", "amount"))
    limits = standing_limits(viewer).in_bulk([int(name[4:]) for name in amounts if name.startswith("lim:")])
    quotas = {name: int(name.split(":")[2]) for name in amounts if name.startswith("quota:")}
    meters = Meter.objects.in_bulk(set(quotas.values()))
    return [
        *[Reserved(amounts[limit.counter], limit=limit) for limit in limits.values()],
        *[Reserved(amounts[name], meter=meters.get(meter)) for name, meter in quotas.items()],
    ]


def _counted_on(viewer: Viewer, row: Authorization) -> list[tuple[CreditGrant, Decimal]]:
    """The grants that are limited to components, and how much of each it counts on."""
    amounts = {int(pk): Decimal(amount) for pk, amount in row.reserved.items()}
    if not amounts:
        return []
    grants = visible(CreditGrant, viewer).filter(customer_id=row.customer_id).in_bulk(amounts)
    return [(grants[pk], amount) for pk, amount in amounts.items() if pk in grants]


def _of_charges(row: Authorization, charges: Sequence[Charge], *, has_instant: bool = True) -> dict[str, Any]:
    """The filter for what was booked with charges, all of the hold's payer."""
    own: dict[str, Any] = {
        "customer_id": row.customer_id,
        "billing_entity_id": row.billing_entity_id,
        "seq__in": [charge.seq for charge in charges],
    }
    return own | {"recorded_at__in": {charge.recorded_at for charge in charges}} if has_instant else own


def _steps(facts: HoldFacts) -> Iterator[Step]:
    """What became of a hold, in order. How long it was made to last is kept, when that was said is not."""
    row, state = facts.hold, facts.hold.status_at(facts.now)
    yield Step("authorized", row.authorized_at, row.amount, "held", until=facts.first_expiry)
    if row.expires_at > facts.first_expiry:
        yield Step("extended", None, says="made to last longer", until=row.expires_at)
    for denial in reversed(facts.refusals):
        says = f"a capture under {denial.idempotency_key} cost more than was held"
        yield Step("denied", denial.denied_at, denial.expected_amount, says)
    is_late = row.event_recorded_at is not None and row.event_recorded_at >= row.expires_at
    if state == Status.EXPIRED or is_late:
        yield Step("expired", row.expires_at, says="free again")
    if row.refused_key is not None:
        says = f"a capture under {row.refused_key} came after its time and was refused; report its usage"
        yield Step("denied", None, says=says)
    if row.event_id is not None and row.captured_amount is None:
        yield Step("recorded", row.event_recorded_at, says="its usage was recorded, and nothing priced it")
    elif row.event_id is not None:
        says = "charged after its time" if is_late else "its usage was charged"
        yield Step("captured", row.event_recorded_at, row.captured_amount, says)
    if state == Status.VOIDED:
        yield Step("returned" if facts.is_lease else "voided", row.settled_at, says="nothing more is held")
