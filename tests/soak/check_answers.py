"""What clients were told against what is stored: nothing lost, nothing doubled, no answer that is not so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

from core.ids import public_id
from tests.soak.books import Books, Charged
from tests.soak.journal import Act, Journal

ASKED: Final = ("charge", "capture")
MONEY: Final = ("top_up", "grant", "adjust", "reverse")


def key_of(act: Act) -> str:
    """The key under which a charge or capture counts."""
    return str(act.body.get("idempotency_key") or act.about["hold"])


def check_answers(journal: Journal, books: Books) -> Iterator[str]:
    """Each sentence is an answer that the ledger does not bear out."""
    yield from _acknowledged_charges(journal, books)
    yield from _one_answer_per_key(journal)
    yield from _events(journal, books)
    yield from _refusals(journal, books)
    yield from _money(journal, books)
    yield from _failures(journal)


def _acknowledged_charges(journal: Journal, books: Books) -> Iterator[str]:
    """Every charge that was acknowledged is there, with the amount and the balance that were answered."""
    stored = books.first_charges
    for act in journal.of(*ASKED, done=True):
        charge = stored.get(key_of(act))
        if charge is None or charge.id != act.answer["id"]:
            yield f"lost: {act.kind} {key_of(act)} was acknowledged as {act.answer['id']}; stored: {charge}"
        elif (told := _told(act)) != _kept(charge):
            yield f"{act.kind} {charge.key} was answered {told}; stored: {_kept(charge)}"


def _told(act: Act) -> tuple[Any, ...]:
    balance = act.answer["balance"]
    amounts = (act.answer["amount"], *(balance[name] for name in ("settled", "held", "available")))
    return (act.answer["billing_entity"], *map(Decimal, amounts))


def _kept(charge: Charged) -> tuple[Any, ...]:
    payer = public_id("be", charge.payer)
    return (payer, charge.counted, charge.settled, charge.held, charge.available)


def _one_answer_per_key(journal: Journal) -> Iterator[str]:
    """A key that was answered twice was answered the same."""
    seen: dict[str, tuple[Any, ...]] = {}
    for act in journal.of(*ASKED, done=True):
        told = (act.answer["id"], *_told(act))
        if seen.setdefault(key_of(act), told) != told:
            yield f"{key_of(act)} was answered {seen[key_of(act)]}, and then {told}"


def _events(journal: Journal, books: Books) -> Iterator[str]:
    """The events that are stored are those that were acknowledged: all of them, each once, and no other."""
    if books.event_rows != len(books.events):
        yield f"{books.event_rows} events have {len(books.events)} keys"
    told = {key_of(act) for act in journal.of(*ASKED, done=True)}
    aside: set[str] = set()
    for act in journal.of("report", done=True):
        counts = act.answer
        taken = counts["accepted"] + counts["duplicates"]
        if taken + counts["quarantined"] != len(act.about["keys"]) or counts["rejected"]:
            yield f"a batch was not taken: {act}"
        if counts["quarantined"] != len(act.about["late"]):
            yield f"{counts['quarantined']} were put aside, {len(act.about['late'])} are too old: {act}"
        told |= set(act.about["keys"]) - set(act.about["late"])
        aside |= set(act.about["late"])
    for key in sorted(told - books.events.keys()):
        yield f"lost: the event {key} was acknowledged"
    for key in sorted(books.events.keys() - told - in_doubt(journal)):
        yield f"the event {key} is stored, and nobody was told: {books.events[key]}"
    if books.quarantined != dict.fromkeys(aside, 1):
        yield f"in quarantine are {books.quarantined}, and not {sorted(aside)} once each"


def in_doubt(journal: Journal) -> set[str]:
    """The keys of calls that were refused when they were sent again, while the first one may have been under
    way still: it may have gone through after the refusal."""
    refused = [*journal.of(*ASKED, "authorize", "draw", done=False)]
    return {act.key or key_of(act) for act in refused if act.failures}


def _refusals(journal: Journal, books: Books) -> Iterator[str]:
    """A refusal that was told is written down with its reason, and what it says stands to reason."""
    for act in journal.of("charge", "authorize", "draw", "capture", done=False):
        if act.status != 402:
            continue
        denial = act.answer["denial"]
        key = act.key if act.kind == "draw" else key_of(act)
        if not any(
            (row.reason, row.level, row.level_id) == (denial["reason"], denial["level"], denial["id"])
            for row in books.denials.get(str(key), ())
        ):
            yield f"a refusal was told and is not written down: {act}"
    for rows in books.denials.values():
        for row in rows:
            is_limit = row.reason == "spend_limit" and row.limit is not None and row.used is not None
            if is_limit and row.used + row.expected <= row.limit:  # type: ignore[operator]
                yield f"a limit refused what it had room for: {row}"


def _money(journal: Journal, books: Books) -> Iterator[str]:
    """Top-ups, grants, adjustments and reversals: those that were acknowledged, each once, and no other."""
    for kind in MONEY:
        told: dict[str, Act] = {}
        for act in journal.of(kind, done=True):
            told[act.answer["id"]] = act
            row = books.money[kind].get(act.answer["id"])
            if row is None or row[1] != act.amount or public_id("be", row[0]) != act.answer["billing_entity"]:
                yield f"lost: {kind} {act.answer} was acknowledged; stored: {row}"
        if kind != "grant":  # top-ups and corrections are grants, too
            for stranger in books.money[kind].keys() - told.keys():
                yield f"{kind} {stranger} is stored, and nobody was told: {books.money[kind][stranger]}"


def _failures(journal: Journal) -> Iterator[str]:
    """While something is down callers hear that it is us (503), never that something went wrong (500)."""
    unexplained: dict[str, list[str]] = defaultdict(list)
    for act in journal.acts:
        for failure in act.failures:
            if failure.startswith("500"):
                unexplained[f"{act.method} {act.kind}"].append(failure)
    for kind, failures in unexplained.items():
        yield f"{kind} was answered by 500 {len(failures)} times: {failures[0]}"
