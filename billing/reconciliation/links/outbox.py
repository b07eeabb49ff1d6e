"""What must go out <-> what went out: no message waits longer than it may."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from billing.reconciliation.finding import ROWS, Checked, Finding
from billing.reconciliation.link import Link
from billing.reconciliation.scope import Scope
from core.ids import public_id
from core.instants import instant_text
from core.numbers import ONE, ZERO

NAME: Final = "outbox"
WAITING: Final = "message_waiting"
MAY_WAIT: Final = timedelta(hours=1)
SHOWN_MAX: Final = 100
MESSAGES: Final = """
    SELECT id, kind, customer_id, created_at FROM billing_outboxmessage
    WHERE delivered_at IS NULL AND created_at < %(before)s ORDER BY id LIMIT %(limit)s"""
LOOKED_AT: Final = "SELECT count(*) FROM billing_outboxmessage WHERE delivered_at IS NULL"


def check(scope: Scope) -> Checked:
    """Every message that is not delivered; the first SHOWN_MAX of those that are late."""
    rows = scope.rows(MESSAGES, before=scope.now - MAY_WAIT, limit=SHOWN_MAX)
    findings = [
        Finding(
            WAITING,
            f"message {public_id('msg', pk)}",
            ROWS,
            ONE,
            ZERO,
            customer_id,
            None,
            cause="Nothing delivers the outbox, or it is far behind.",
            detail={"message": public_id("msg", pk), "kind": kind, "created_at": instant_text(created_at)},
        )
        for pk, kind, customer_id, created_at in rows
    ]
    return Checked(scope.rows(LOOKED_AT)[0][0], findings)


LINK: Final = Link(
    NAME,
    "messages written",
    "messages delivered",
    {WAITING: "A message has waited in the outbox for more than an hour."},
    check,
    is_outside=True,
)
