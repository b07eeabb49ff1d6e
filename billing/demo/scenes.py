"""What real installations also have: misspelt names, late events, quarantine, denials, overspend, a move."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any, Final

from accounts.payers import assign_payer
from billing.balances import balance_of
from billing.charging import ChargeRequest, Mode, charge_many, report_events
from billing.demo import cast
from billing.demo.calls import completion
from billing.demo.clockwork import Hands
from billing.demo.dice import dice_for
from billing.demo.stage import Tenant
from billing.models import MarginBucket
from billing.quarantine import release_quarantined
from billing.wallets import adjust, grant_credit, top_up
from metering.events import EventInput, parse_event
from metering.models import QuarantinedEvent
from metering.quarantine import write_off_quarantined

Tenants = Mapping[str, Tenant]
_RATE_DAYS: Final = 7


def move_workspace(tenants: Tenants, at: datetime) -> None:
    """Meridian's research moves from the head office to the logistics division, in the middle of a month."""
    tenant = tenants[cast.TREE]
    research = next(each for each in tenant.workspaces if each.external_id == "meridian-research")
    assign_payer(research, tenant.payers[2], from_=at)


def give_welcome_credit(tenants: Tenants, hands: Hands) -> None:
    """Promotional credit for a few, one of which is limited to a component and expires soon."""
    grant_credit(tenants["orchard"].payers[0], Decimal(60), name="Welcome credit", priority=10)
    grant_credit(
        tenants["fathom"].payers[0],
        Decimal(25),
        name="Image campaign",
        components=["images"],
        expires_at=hands.at + timedelta(days=30),
    )
    grant_credit(tenants["brightdesk"].payers[0], Decimal(40), name="Partner credit")


def send_odd_events(tenants: Tenants, hands: Hands) -> None:
    """Misspelt, unpriced, late and unattributable events of the last days, then what staff did about some."""
    dice = dice_for("odd")
    quill, fathom, drift = tenants[cast.MISSPELT], tenants["fathom"], tenants["drift"]
    now = hands.at
    odd = [_event(quill, f"rel-{n}", dice, now - timedelta(minutes=7 * n), "compltion") for n in range(140)]
    vectors = {"input_tokens": 2400, "provider": "openai", "model": "text-embedding-3-small"}
    for n in range(60):
        at = now - timedelta(minutes=11 * n)
        odd.append(_event(fathom, f"vec-{n}", dice, at, "embedding", properties=vectors))
    late = [_event(drift, f"offline-{n}", dice, now - timedelta(days=19, minutes=n)) for n in range(24)]
    report_events(sorted(odd, key=lambda event: event.occurred_at), source="import")
    report_events(late, source="import")
    report_events(_unattributable(tenants, now, dice), source="api")
    _resolve_some(now)


def _unattributable(tenants: Tenants, now: datetime, dice: Random) -> list[EventInput]:
    summit, beacon = tenants["summit"], tenants["beacon"]
    events = [_event(summit, f"typo-{n}", dice, now, workspace="summit-prodution") for n in range(9)]
    unknown = "5e" * 32
    for n in range(6):
        raw = _raw(beacon, f"newkey-{n}", dice, now)
        del raw["workspace"]
        events.append(parse_event(raw | {"api_key": unknown}, now))
    events += [_event(beacon, f"old-{n}", dice, now - timedelta(days=61, hours=n)) for n in range(4)]
    events += [_event(beacon, f"clock-{n}", dice, now + timedelta(days=40)) for n in range(2)]
    return events


def _resolve_some(now: datetime) -> None:
    waiting = list(QuarantinedEvent.objects.order_by("pk").values_list("pk", "reason"))
    old = [pk for pk, reason in waiting if reason == QuarantinedEvent.Reason.TOO_LATE]
    release_quarantined(old[:2], by="oona@nimbus.example")
    ahead = [pk for pk, reason in waiting if reason == QuarantinedEvent.Reason.IN_FUTURE]
    write_off_quarantined(ahead[0], by="oona@nimbus.example", at=now)


def empty_wallets(tenants: Tenants, hands: Hands) -> None:
    """One customer is denied, one overspent after the fact, one has two days left. At the present instant."""
    dice = dice_for("wallets")
    blocked, overspent = tenants[cast.BLOCKED], tenants[cast.OVERSPENT]
    _set_balance(blocked, Decimal(0), hands, "The card payment was charged back")
    requests = [
        ChargeRequest(
            _event(blocked, f"asked-{n}", dice, hands.at - timedelta(seconds=9 * n)), Mode.ASK, "api"
        )
        for n in range(26)
    ]
    charge_many(requests)
    _set_balance(overspent, Decimal("1.50"), hands, "Unused credit paid back on request")
    report_events([_event(overspent, f"after-{n}", dice, hands.at) for n in range(40)], source="api")
    leave_days(tenants, hands, Decimal(2))


def leave_days(tenants: Tenants, hands: Hands, days: Decimal) -> None:
    """Let the wallet that runs out hold what `days` cost at the rate of the last week."""
    tenant = tenants[cast.RUNNING_OUT]
    today = hands.at.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = MarginBucket.objects.filter(
        billing_entity_id=tenant.payers[0].pk, hour__gte=today - timedelta(days=_RATE_DAYS), hour__lt=today
    )
    spent = sum(rows.values_list("revenue", flat=True), Decimal(0))
    _set_balance(tenant, round(days * spent / _RATE_DAYS, 2), hands, "Unused credit paid back on request")


def _set_balance(tenant: Tenant, amount: Decimal, hands: Hands, reason: str) -> None:
    """Top up or correct the wallet so that `amount` is in it."""
    payer = tenant.payers[0]
    change = amount - balance_of(payer, hands.at).settled
    if change < 0:
        adjust(payer, change, reason=reason, by="felix@nimbus.example")
    elif change:
        top_up(payer, change, reference="Card payment", by="demo")


def _event(
    tenant: Tenant, key: str, dice: Random, at: datetime, name: str = "completion", **fields: Any
) -> EventInput:
    return parse_event(_raw(tenant, key, dice, at, name) | fields, at)


def _raw(tenant: Tenant, key: str, dice: Random, at: datetime, name: str = "completion") -> dict[str, Any]:
    return {
        "idempotency_key": f"{tenant.actor.slug}-{key}",
        "event": name,
        "workspace": tenant.references[0],
        "occurred_at": at.isoformat(),
        "properties": completion(tenant.actor, dice),
    }
