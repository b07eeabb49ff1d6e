"""What a limit has counted is written anew, its latest window taking the difference; and what it reserves."""

from __future__ import annotations

from typing import Final

from billing.limits.present import present_windows
from billing.models import Authorization, LimitCounter, LimitHold, SpendLimit
from billing.reconciliation.repairs.action import Action, Work
from core.errors import Conflict
from core.ids import hot_row, row_id
from core.numbers import CONTEXT, ZERO


def rebuild_limit(work: Work) -> None:
    """Let the limit's windows together be what was spent in them.

    Which window was changed nobody can tell, so the latest takes the difference, and earlier ones what would
    leave it below zero. Raises Conflict when there is no window to take it.
    """
    name, customer_id = str(work.finding.detail["limit"]), work.finding.customer_id
    limit = SpendLimit.objects.select_related("meter").get(pk=row_id("lim", name))
    missing = CONTEXT.subtract(work.finding.expected or ZERO, work.finding.actual or ZERO)
    rows = LimitCounter.objects.filter(customer_id=customer_id or 0, counter=limit.counter)
    for row in rows.order_by("-starts_at"):
        after = max(ZERO, CONTEXT.add(row.used, missing))
        if after != row.used:
            work.set(rows.filter(starts_at=row.starts_at), f"{name} from {row.starts_at}", used=after)
        missing = CONTEXT.subtract(missing, CONTEXT.subtract(after, row.used))
        if not missing:
            return
    windows = present_windows([limit], work.now)
    if missing < 0 or limit.pk not in windows:
        raise Conflict("no_window", "The limit has no window that could have counted it.")
    row = LimitCounter(
        customer_id=limit.customer_id,
        counter=limit.counter,
        starts_at=windows[limit.pk].starts_at,
        used=missing,
    )
    work.insert(row, f"{name} from {row.starts_at}", "used")


def rebuild_limit_hold(work: Work) -> None:
    """Let a limit or quota reserve for a hold what the hold says, and nothing for one that is settled."""
    name, counter = str(work.finding.detail["authorization"]), str(work.finding.detail["counter"])
    customer_id, uuid = work.payer[0], hot_row("auth", name)[1]
    hold = Authorization.objects.get(customer_id=customer_id, id=uuid)
    row = LimitHold(
        customer_id=customer_id,
        authorization_id=uuid,
        counter=counter,
        amount=work.finding.expected or ZERO,
        expires_at=hold.expires_at,
    )
    rows = LimitHold.objects.filter(customer_id=customer_id, authorization_id=uuid, counter=counter)
    subject, columns = f"{counter} for {name}", ("amount", "expires_at")
    if hold.status != Authorization.Status.AUTHORIZED:
        work.remove(rows, subject, *columns)
    elif rows.exists():
        work.set(rows, subject, amount=row.amount, expires_at=row.expires_at)
    else:
        work.insert(row, subject, *columns)


COUNTER: Final = Action(
    "rebuild_limit",
    "Write what was counted anew from the charges",
    "The limit has counted what was spent in its windows, and refuses when it should. No charge changes.",
    frozenset({("limits", "limit_counter")}),
    rebuild_limit,
)
HOLD: Final = Action(
    "rebuild_limit_hold",
    "Write what the limit reserves anew from the hold",
    "The limit or quota reserves what the hold says while it is open, and nothing once it is settled. The"
    " hold does not change.",
    frozenset({("limits", "limit_hold")}),
    rebuild_limit_hold,
)
