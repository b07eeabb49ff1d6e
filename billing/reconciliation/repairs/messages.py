"""A message that has waited too long in the outbox is delivered."""

from __future__ import annotations

from typing import Final

from billing.models import OutboxMessage
from billing.reconciliation.repairs.action import Action, Work
from billing.rollouts.notices import deliver
from core.errors import Conflict
from core.ids import row_id


def deliver_again(work: Work) -> None:
    """Deliver it now; Conflict when somebody else is doing so."""
    name = str(work.finding.detail["message"])
    rows = OutboxMessage.objects.filter(pk=row_id("msg", name), delivered_at=None)
    work.note("outbox message", name, {"delivered": "yes"}, {"delivered": "no"})
    if not work.is_preview and not deliver(rows, work.now):
        raise Conflict("busy", "It is being delivered at this moment.")


ACTION: Final = Action(
    "deliver_again",
    "Deliver it now",
    "The message goes out once; it is not written again.",
    frozenset({("outbox", "message_waiting")}),
    deliver_again,
    needs_facts=False,
    rehearses=False,
)
