"""A key that is gone is written again from its event or authorization: the call cannot count twice."""

from __future__ import annotations

from typing import Any, Final

from django.db.models import TextField
from django.db.models.functions import Cast

from accounts.models import ApiKey, BillingEntity, Workspace
from billing.models import Authorization, Discrepancy
from billing.reconciliation.repairs.action import Action, Work
from core.errors import Conflict
from core.ids import hot_row
from core.jsonio import decode_json
from metering.models import IdempotencyKey, UsageEvent
from metering.payload import GIVEN, payload_hash, recorded_payload


def restore_key(work: Work) -> None:
    """Write the key with the hash of what was recorded. Raises Conflict when another call has it."""
    customer_id, detail = work.payer[0], work.finding.detail
    key = str(detail["key"])
    if IdempotencyKey.objects.filter(customer_id=customer_id, key=key).exists():
        raise Conflict("key_taken", "Another call has this key by now.")
    if "event" in detail:
        _, uuid = hot_row("evt", str(detail["event"]))
        event = _event(customer_id, uuid)
        digest, recorded_at = payload_hash(_payload(event)), event.recorded_at
    else:
        name = str(detail["authorization"])
        _, uuid = hot_row("lease" if name.startswith("lease") else "auth", name)
        hold = Authorization.objects.get(customer_id=customer_id, id=uuid)
        digest, recorded_at = payload_hash(hold.payload), hold.authorized_at
    row = IdempotencyKey(
        customer_id=customer_id, key=key, payload_hash=digest, event_id=uuid, recorded_at=recorded_at
    )
    work.insert(row, f"key {key}", "event_id", "recorded_at")


def _event(customer_id: int, uuid: Any) -> UsageEvent:
    rows = UsageEvent.objects.filter(customer_id=customer_id, id=uuid)
    return rows.annotate(exact=Cast("properties", TextField()), exact_costs=Cast("costs", TextField())).get()


def _payload(event: Any) -> dict[str, Any]:
    """The event as its caller would send it now: by the names that workspace, key and payer have today."""
    payload = recorded_payload(
        name=event.name,
        user=event.user,
        trace=event.trace,
        given=event.given,
        occurred_at=event.occurred_at,
        properties=decode_json(event.exact.encode()),
        costs=None if event.exact_costs is None else decode_json(event.exact_costs.encode()),
    )
    if event.given & GIVEN["workspace"]:
        workspace = Workspace.objects.get(pk=event.workspace_id)
        payload["workspace"] = workspace.external_id or workspace.public_id
    if event.given & GIVEN["api_key"]:
        payload["api_key"] = ApiKey.objects.get(pk=event.api_key_id).fingerprint
    if event.given & GIVEN["billing_entity"]:
        payer = BillingEntity.objects.get(pk=event.billing_entity_id)
        payload["billing_entity"] = payer.external_id or payer.public_id
    return payload


def _is_gone(discrepancy: Discrepancy) -> bool:
    return discrepancy.detail.get("names") is None


ACTION: Final = Action(
    "restore_key",
    "Write the key again",
    "The call has its idempotency key again, so a retry is answered with the first answer and counts once.",
    frozenset({("keys", "key_missing")}),
    restore_key,
    only_when=_is_gone,
)
