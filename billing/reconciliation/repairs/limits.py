"""What a limit has counted is written anew, its latest window taking the difference; and what it reserves."""

from __future__ import annotations

from decimal import Decimal
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
    is_open = hold.status == Authorization.Status.AUTHORIZED
    _reserve(work, hold, counter, work.finding.expected or ZERO if is_open else None)


def place_hold(work: Work) -> None:
    """Let a hold count in the limit of an organization that it is in, or no more in one that it is not in."""
    name, counter = str(work.finding.detail["authorization"]), str(work.finding.detail["counter"])
    holds = Authorization.objects.filter(customer_id=work.payer[0], id=hot_row("auth", name)[1])
    hold, held = holds.get(), work.finding.expected or None
    counted_in = [one for one in hold.counted_in if one[0] != counter]
    if held is not None:
        counted_in.append([counter, str(held)])
    work.set(holds, name, counted_in=counted_in)
    _reserve(work, hold, counter, held)


def _reserve(work: Work, hold: Authorization, counter: str, amount: Decimal | None) -> None:
    """Let a limit or quota reserve an amount for a hold, or nothing."""
    own = {"customer_id": hold.customer_id, "authorization_id": hold.id, "counter": counter}
    rows = LimitHold.objects.filter(**own)
    subject, columns = f"{counter} for {hold.public_id}", ("amount", "expires_at")
    if amount is None:
        work.remove(rows, subject, *columns)
    elif rows.exists():
        work.set(rows, subject, amount=amount, expires_at=hold.expires_at)
    else:
        work.insert(LimitHold(**own, amount=amount, expires_at=hold.expires_at), subject, *columns)


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
PLACE: Final = Action(
    "place_hold",
    "Let the hold count where it is",
    "The hold counts in the limits of the organizations that it is in, and in those of no other. What it"
    " holds stays.",
    frozenset({("limits", "hold_misplaced")}),
    place_hold,
)
