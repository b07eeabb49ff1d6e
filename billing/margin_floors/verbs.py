"""A payer's own margin floor: set and removed by staff, kept in the audit trail."""

from __future__ import annotations

from decimal import Decimal

from django.db import transaction

from accounts.models import BillingEntity
from billing.models import PayerMarginFloor
from core import clock
from core.errors import InvalidRequest, NotFound
from core.numbers import ONE, ZERO

Action = PayerMarginFloor.Action


@transaction.atomic
def set_floor(
    entity: BillingEntity,
    *,
    min_margin: Decimal,
    min_volume: Decimal = ZERO,
    action: str = Action.NOTIFY,
) -> PayerMarginFloor:
    """Give a payer this floor in place of its plans' ones (and of the one it had); the next call obeys it.

    `min_margin` is a share of revenue from 0 to 1, `min_volume` an amount of revenue in the payer's currency.
    Raises InvalidRequest.
    """
    if not ZERO <= min_margin <= ONE:
        says = 'min_margin is a share of revenue, such as "0.20", from 0 to 1.'
        raise InvalidRequest("invalid_value", says, "min_margin")
    if min_volume < 0:
        raise InvalidRequest("invalid_value", "min_volume may not be below zero.", "min_volume")
    if action not in Action.values:
        raise InvalidRequest("invalid_choice", "action must be notify or deny.", "action")
    values = {"min_margin": min_margin, "min_volume": min_volume, "action": action}
    made = {"customer_id": entity.customer_id, "created_at": clock.now()}
    floor, _ = PayerMarginFloor.objects.update_or_create(
        billing_entity=entity, defaults=values, create_defaults=values | made
    )
    return floor


def remove_floor(entity: BillingEntity) -> None:
    """Let the floors of its plan versions hold for a payer again. Raises NotFound when it has none."""
    gone, _ = PayerMarginFloor.objects.filter(billing_entity=entity).delete()
    if not gone:
        raise NotFound("not_found", "This payer has no margin floor of its own.")
