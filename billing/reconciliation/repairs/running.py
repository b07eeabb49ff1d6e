"""Previewing and doing repairs: under the payers' locks, refused when the facts changed, kept for good."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from django.db import transaction
from django.db.models import Sum

from accounts.customers import outdate_customer
from billing.ledger import lock_accounts
from billing.models import Discrepancy, LedgerAccount, Repair
from billing.reconciliation.batches import WHOLE_MAX, spans_of, whole
from billing.reconciliation.finding import Finding
from billing.reconciliation.link import Link
from billing.reconciliation.links import LINKS
from billing.reconciliation.repairs.action import Action, Work, Write, digest
from billing.reconciliation.repairs.actions import ACTIONS
from billing.reconciliation.scope import Scope
from billing.store_snapshot import snapshot
from core import clock
from core.errors import Conflict, NotFound
from core.sql import driver
from core.texts import clean_text

REASON_MAX: Final = 1000
REHEARSED_NUMBERS: Final = WHOLE_MAX
"""A preview for a customer with at most so many is made under its payers' locks: a fraction of a second."""
REHEARSED_SECONDS: Final = 0.25
"""How long a check of the outside may have taken for another one to be made under a lock."""
FACTS: Final = frozenset({"seals", "keys", "numbers", "charges", "rating", "transfers"})
"""Links between facts: while one of them is broken, nothing is derived from these facts."""
Status = Discrepancy.Status


@dataclass(frozen=True, slots=True)
class Preview:
    """What a repair would write, and what the check says before and after it. `facts` goes into `do_repair`.

    `after` None: the sides agree; whether they would is not known (`is_known` False) of what cannot be taken
    back.
    """

    action: Action
    facts: str
    writes: Sequence[Write]
    before: Finding
    after: Finding | None
    is_known: bool
    seq: int | None = None


def actions_for(discrepancy: Discrepancy) -> list[Action]:
    """The repairs that may be done about a discrepancy that stands."""
    if discrepancy.status == Status.RESOLVED:
        return []
    return [action for action in ACTIONS if action.mends(discrepancy)]


def find_action(discrepancy: Discrepancy, name: str) -> Action:
    """The action of that name; raises NotFound when this discrepancy has no such repair."""
    action = next((action for action in actions_for(discrepancy) if action.name == name), None)
    if action is None:
        raise NotFound("no_such_repair", f"There is no repair {name[:40]!r} of this discrepancy.", "action")
    return action


def preview_repair(discrepancy: Discrepancy, action: Action, *, reason: str = "", by: str = "") -> Preview:
    """What the repair would do; nothing stays of it, and no call of the customer waits for it for long.

    Of a customer with few numbers the repair is done under the payers' locks, looked at, and taken back. Of
    others it is worked out in a snapshot, without a lock and without writing; whether the sides would agree
    is not known then. Raises Conflict: `already_gone`, `mend_first`, and what the action itself refuses.
    """
    reason = reason or "preview"
    if _link(discrepancy).is_outside:
        return _post_and_take_back(discrepancy, action, reason, by)
    if _numbers(discrepancy) > REHEARSED_NUMBERS:
        with snapshot():
            work = _work_for(discrepancy, action, reason, by, is_preview=True)
            work.is_read_only = True
            action.carry_out(work)
            return _preview(work, action, None)
    with _taken_back():
        return _carry_out(discrepancy, action, reason, by, is_preview=True)[0]


def _post_and_take_back(discrepancy: Discrepancy, action: Action, reason: str, by: str) -> Preview:
    """The preview of what the outside says: its check looks at everybody, so it is made before any lock."""
    begun = perf_counter()
    with snapshot():
        work = _work_for(discrepancy, action, reason, by, is_preview=True)
    is_quick = action.rehearses and perf_counter() - begun <= REHEARSED_SECONDS
    with _taken_back():
        action.carry_out(work)
        return _preview(work, action, _check(work.discrepancy) if is_quick else None)


@transaction.atomic
def do_repair(discrepancy: Discrepancy, action: Action, *, facts: str, reason: str, by: str) -> Repair:
    """Do a repair that was previewed. Raises Conflict `facts_changed` when its preview would differ now.

    `not_mended` when the check would still find it: then nothing is written. The discrepancy stands until a
    run no longer finds it.
    """
    reason = clean_text(reason, "reason", max_length=REASON_MAX)
    preview, work = _carry_out(discrepancy, action, reason, by)
    if preview.facts != facts:
        says = "What it would do has changed since it was previewed; look at the preview again."
        raise Conflict("facts_changed", says, "facts")
    if preview.after is not None:
        raise Conflict("not_mended", "The sides would still differ after it, so nothing was written.")
    customer_id, payer_id = work.finding.customer_id, work.finding.payer_id
    if customer_id is not None:
        outdate_customer(customer_id)  # what limits have used, processes keep for a while
    return Repair.objects.create(
        discrepancy=discrepancy,
        customer_id=customer_id,
        billing_entity_id=payer_id,
        action=action.name,
        reason=reason,
        writes=[write.shown() for write in work.writes],
        facts=preview.facts,
        seq=work.seq,
        done_at=work.now,
        done_by=by,
    )


def _carry_out(
    discrepancy: Discrepancy, action: Action, reason: str, by: str, *, is_preview: bool = False
) -> tuple[Preview, Work]:
    _lock(discrepancy)
    row = Discrepancy.objects.select_for_update().get(pk=discrepancy.pk)
    work = _work_for(row, action, reason, by, is_preview=is_preview)
    action.carry_out(work)
    return _preview(work, action, _check(work.discrepancy)), work


def _work_for(row: Discrepancy, action: Action, reason: str, by: str, *, is_preview: bool) -> Work:
    """The discrepancy as it is found now, with all else that its link finds of the customer."""
    if row.status == Status.RESOLVED:
        raise Conflict("already_gone", "A run did not find it any more: there is nothing to repair.")
    if action.needs_facts:
        _check_facts(row)
    before = _check(row)
    finding = _same(before, row)
    if finding is None:
        raise Conflict("already_gone", "The two sides agree by now; the next run will say so.")
    return Work(row, finding, clock.now(), by, reason, is_preview, before)


def _preview(work: Work, action: Action, after: Sequence[Finding] | None) -> Preview:
    """What was done, with what the check says `after` it; None: it was not made."""
    row = work.discrepancy
    return Preview(
        action,
        digest(action.name, work.finding, work.writes),
        tuple(work.writes),
        work.finding,
        None if after is None else _same(after, row),
        is_known=after is not None,
        seq=work.seq,
    )


def _lock(discrepancy: Discrepancy) -> None:
    """Lock all payers of the customer: a check looks at a customer as a whole."""
    if discrepancy.customer_id is None:
        return
    payers = LedgerAccount.objects.filter(customer_id=discrepancy.customer_id, kind="wallet")
    ids = sorted(payers.values_list("customer_id", "billing_entity_id"))
    if ids:
        lock_accounts(driver(), ids)


def _check_facts(row: Discrepancy) -> None:
    """Refuse to derive anything from rows that are found wrong themselves."""
    standing = Discrepancy.objects.filter(
        customer_id=row.customer_id,
        link__in=FACTS - {row.link},
        status__in=[Status.OPEN, Status.INVESTIGATING],
    )
    if row.billing_entity_id is not None:
        standing = standing.filter(billing_entity_id=row.billing_entity_id)
    first = standing.exclude(pk=row.pk).order_by("pk").first()
    if row.customer_id is not None and first is not None:
        says = (
            f"It would be derived from rows that are found wrong themselves: see to {first.public_id} first."
        )
        raise Conflict("mend_first", says)


def _link(row: Discrepancy) -> Link:
    return next(link for link in LINKS if link.name == row.link)


def _numbers(row: Discrepancy) -> int:
    """How many numbers the customer's payers have had."""
    wallets = LedgerAccount.objects.filter(customer_id=row.customer_id or 0, kind="wallet")
    return wallets.aggregate(numbers=Sum("seq"))["numbers"] or 0


def _check(row: Discrepancy) -> list[Finding]:
    """What the link finds now of the discrepancy's customer; of a link of the outside, everything."""
    link, raw = _link(row), driver()
    spans = [] if link.is_outside or row.customer_id is None else whole(spans_of(raw, [row.customer_id]))
    return link.check(Scope(raw, spans, clock.now())).findings


def _same(findings: Sequence[Finding], row: Discrepancy) -> Finding | None:
    return next((one for one in findings if _is_of(one, row)), None)


def _is_of(finding: Finding, row: Discrepancy) -> bool:
    return (finding.type, finding.subject, finding.customer_id, finding.payer_id) == (
        row.type,
        row.subject,
        row.customer_id,
        row.billing_entity_id,
    )


@contextmanager
def _taken_back() -> Iterator[None]:
    """Whatever is written inside is undone at the end, even when nothing goes wrong.

    What was to happen when it commits does not: a month's partitions are undone too, and are not there.
    """
    with transaction.atomic():
        try:
            yield
        finally:
            transaction.set_rollback(True)
