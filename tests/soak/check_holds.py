"""Holds at the end: none is left over, and each ended as its clients were told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from tests.soak.books import Books, Held
from tests.soak.check_answers import in_doubt
from tests.soak.journal import Act, Journal


def check_holds(journal: Journal, books: Books) -> Iterator[str]:
    """Each sentence is a hold that is not what was answered, or not over."""
    if any(books.left):
        yield f"left over: {books.left[0]} holds, {books.left[1]} holds of limits, {books.left[2]} in money"
    told = {act.answer["id"]: act for act in journal.of("authorize", "draw", done=True)}
    doubtful = in_doubt(journal)
    for stranger in sorted(books.holds.keys() - told.keys()):
        if books.holds[stranger].key in doubtful:
            continue
        yield f"a hold is stored, and nobody was told: {books.holds[stranger]}"
    acts: dict[str, list[Act]] = defaultdict(list)
    for act in journal.of("capture", "void", "return", "extend", done=True):
        acts[act.about["hold"]].append(act)
    for hold_id, act in told.items():
        hold = books.holds.get(hold_id)
        if hold is None or hold.amount != act.amount:
            yield f"lost: {act.kind} {hold_id} was acknowledged; stored: {hold}"
        else:
            yield from _ended(hold, acts[hold_id])


def _ended(hold: Held, acts: list[Act]) -> Iterator[str]:
    captures = {act.answer["id"]: act for act in acts if act.kind == "capture"}
    is_void = any(act.kind == "void" for act in acts)
    if len(captures) > 1 or (captures and is_void):
        yield f"{hold.id} ended twice: {acts}"
    expected = {"captured"} if captures else {"voided"} if is_void else {"expired"}
    if hold.kind == "lease":
        expected = {"voided", "expired"} if any(act.kind == "return" for act in acts) else {"expired"}
    elif not captures and not is_void:
        expected.add("captured")  # by the report of usage whose capture came too late
    if hold.status not in expected:
        yield f"{hold.id} is {hold.status}, not {expected}: {acts}"
    for act in captures.values():
        price = act.amount + Decimal(act.answer["absorbed"])
        if hold.captured != price:
            yield f"{hold.id} was captured for {price}; stored: {hold.captured}"
