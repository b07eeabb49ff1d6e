"""The two sides of a discrepancy, down to the rows: what each is made of, and where to look further."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Q

from billing.models import (
    Authorization,
    Charge,
    CreditGrant,
    Discrepancy,
    LedgerAccount,
    MarginBucket,
    Transfer,
)
from core.ids import public_id, row_id
from metering.models import UsageBucket, UsageEvent

SHOWN_MAX: Final = 50
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SideRow:
    """One row of a side. `target`: (name of a page, its arguments); `amount` in the discrepancy's unit."""

    what: str
    amount: Decimal | None
    at: datetime | None = None
    target: tuple[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Sides:
    """The rows of both sides; `left_out` of the left side there is no room for."""

    left: Sequence[SideRow]
    right: Sequence[SideRow]
    left_out: int = 0


def sides_of(row: Discrepancy) -> Sides:
    """What the two sides are made of now; empty where the sides are single rows that the detail names."""
    read = _READERS.get(row.link)
    if read is None or (row.customer_id is None and row.link not in _OF_NOBODY):
        return Sides((), ())
    return read(row)


def _own(row: Discrepancy) -> dict[str, Any]:
    return {"customer_id": row.customer_id, "billing_entity_id": row.billing_entity_id}


def _balance(row: Discrepancy) -> Sides:
    kind = row.detail.get("account", "wallet")
    entries = Transfer.objects.filter(Q(source=kind) | Q(destination=kind), **_own(row))
    shown = list(entries.order_by("-seq", "position")[:SHOWN_MAX])
    account = LedgerAccount.objects.filter(**_own(row), kind=kind).first()
    right = [SideRow(f"balance of {kind}", account.balance)] if account else []
    return Sides([_entry(one, kind) for one in shown], right, entries.count() - len(shown))


def _entry(row: Transfer, kind: str) -> SideRow:
    other = row.source if row.destination == kind else row.destination
    amount = row.amount if row.destination == kind else -row.amount
    direction = "from" if row.destination == kind else "to"
    return SideRow(f"{row.seq}: {row.reason.replace('_', ' ')}, {direction} {other}", amount, row.recorded_at)


def _moved(row: Discrepancy) -> Sides:
    seq = int(row.detail.get("number", 0))
    charges = Charge.objects.filter(**_own(row), seq=seq)
    left = [
        SideRow(one.public_id, one.amount, one.recorded_at, ("charge", (one.public_id,))) for one in charges
    ] or [
        SideRow(f"paid by {account['account']}", Decimal(account["booked"]))
        for account in row.detail.get("accounts", ())
    ]
    own = Transfer.objects.filter(Q(seq=seq) | Q(reason="correction", reference__endswith=f":{seq}"))
    entries = own.filter(**_own(row)).order_by("seq", "position")
    right = [
        SideRow(
            f"{one.seq}: {one.reason.replace('_', ' ')}, {one.source} to {one.destination}",
            one.amount if one.destination == "revenue" else -one.amount,
            one.recorded_at,
        )
        for one in entries
    ]
    return Sides(left, right)


def _grant(row: Discrepancy) -> Sides:
    if "grant" not in row.detail:
        return _balance(row)
    pk = row_id("grt", str(row.detail["grant"]))
    entries = Transfer.objects.filter(customer_id=row.customer_id or 0, grant_id=pk).order_by(
        "-seq", "position"
    )
    shown = list(entries[:SHOWN_MAX])
    grant = CreditGrant.objects.get(pk=pk)
    left = [_entry(one, "wallet") for one in shown]
    if grant.covered:
        left.append(SideRow("covered an overdraft", -grant.covered, grant.booked_at))
    right = [SideRow(f"remaining of {grant.public_id}", grant.remaining, grant.created_at)]
    return Sides(left, right, entries.count() - len(shown))


def _held(row: Discrepancy) -> Sides:
    holds = Authorization.objects.filter(**_own(row), status="authorized").order_by("-authorized_at")
    shown = list(holds[:SHOWN_MAX])
    left = [SideRow(one.public_id, one.held, one.authorized_at, ("hold", (one.public_id,))) for one in shown]
    account = LedgerAccount.objects.filter(**_own(row), kind="wallet").first()
    right = [SideRow("reserved in the wallet", account.held)] if account else []
    return Sides(left, right, holds.count() - len(shown))


def _usage(row: Discrepancy) -> Sides:
    hour = datetime.fromisoformat(row.detail["hour"]) if "hour" in row.detail else None
    if hour is None:
        return Sides((), ())
    workspace = row.detail["workspace_id"] or None
    events = UsageEvent.objects.filter(
        **_own(row), workspace_id=workspace, occurred_at__gte=hour, occurred_at__lt=hour + HOUR
    )
    if "event" in row.detail:
        events = events.filter(name=row.detail["event"])
        buckets = MarginBucket.objects.filter(**_own(row), hour=hour, event=row.detail["event"])
        kept = [
            SideRow(
                f"bucket of {one.event}: {one.events} events, revenue {one.revenue:f}, cost {one.cost:f}",
                {"bucket_revenue": one.revenue, "bucket_cost": one.cost}.get(row.type, Decimal(one.events)),
                one.hour,
            )
            for one in buckets.filter(workspace_id=row.detail["workspace_id"])
        ]
    else:
        meter = row_id("mtr", row.detail["meter"])
        rows = UsageBucket.objects.filter(**_own(row), hour=hour, meter_id=meter)
        rows = rows.filter(workspace_id=row.detail["workspace_id"], dimensions=row.detail["dimensions"])
        kept = [
            SideRow(f"bucket of {row.detail['meter']}: {one.events} events", one.quantity, one.hour)
            for one in rows
        ]
    shown = list(events.order_by("-recorded_at")[:SHOWN_MAX])
    left = [
        SideRow(f"{one.name} {one.idempotency_key}", None, one.occurred_at, ("event", (one.public_id,)))
        for one in shown
    ]
    return Sides(left, kept, events.count() - len(shown))


def _charge(row: Discrepancy) -> Sides:
    left, right = [], []
    if "event" in row.detail:
        name = str(row.detail["event"])
        left.append(SideRow(name, None, None, ("event", (name,))))
    names = row.detail.get("charges", [row.detail["charge"]] if "charge" in row.detail else [])
    right += [SideRow(str(name), row.actual, None, ("charge", (str(name),))) for name in names[:SHOWN_MAX]]
    return Sides(left, right)


def _gateway(row: Discrepancy) -> Sides:
    left = [
        SideRow(f"{one['source']} counted", Decimal(one["calls"])) for one in row.detail.get("counts", ())
    ]
    right = [
        SideRow(f"{name} events", Decimal(calls)) for name, calls in sorted(row.detail["recorded"].items())
    ]
    right += [
        SideRow(f"{name} waits in quarantine", None, None, ("quarantined", (name,)))
        for name in row.detail.get("quarantined", ())
    ]
    return Sides(left, right)


def _payment(row: Discrepancy) -> Sides:
    listed = row.detail.get("listed")
    left = []
    if listed is not None:
        at = datetime.fromisoformat(listed["at"].replace("Z", "+00:00"))
        words = f"{listed['kind']} {row.detail['payment']} {listed['reference']}".strip()
        left = [SideRow(words, Decimal(listed["amount"]), at)]
    right = [
        SideRow(
            f"{one['kind']} {public_id('top' if one['kind'] == 'top-up' else 'adj', one['id'])}"
            f" of {one['currency']}",
            Decimal(one["amount"]),
            datetime.fromisoformat(one["at"].replace("Z", "+00:00")),
        )
        for one in row.detail.get("booked", ())
    ]
    return Sides(left, right)


_READERS: Final[dict[str, Callable[[Discrepancy], Sides]]] = {
    "balances": _balance,
    "transfers": _moved,
    "grants": _grant,
    "holds": _held,
    "buckets": _usage,
    "margins": _usage,
    "charges": _charge,
    "rating": _charge,
    "keys": _charge,
    "gateway_counts": _gateway,
    "provider_payments": _payment,
}
_OF_NOBODY: Final = frozenset({"provider_payments"})
