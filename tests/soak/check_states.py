"""Suspensions: between their answer and the next word, no charge of the payer was begun and let through."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from tests.soak.books import Books
from tests.soak.check_answers import key_of
from tests.soak.journal import Journal
from tests.soak.members import World


class Span(NamedTuple):
    """When a payer was suspended for certain, in seconds of the epoch."""

    since: float
    until: float


def check_states(journal: Journal, books: Books, world: World) -> Iterator[str]:
    """Each sentence is a charge that a suspended payer should have been refused."""
    answered: dict[str, float] = {}
    for act in journal.of("charge", done=True):
        at = answered.setdefault(key_of(act), act.answered_at)
        answered[key_of(act)] = min(at, act.answered_at)
    spans = {payer.row: list(suspensions(journal, payer.id)) for payer in world.payers.values()}
    for charge in books.charges:
        until = answered.get(charge.key)
        if until is None or not charge.is_first:
            continue
        since = charge.recorded_at.timestamp()
        for span in spans[charge.payer]:
            if span.since < since and until < span.until:
                yield f"{charge.key} was charged while its payer was suspended: {charge}"


def suspensions(journal: Journal, payer: str) -> Iterator[Span]:
    """From the answer to each suspension until somebody may have ended it."""
    acts = [act for act in journal.of("state", done=True) if act.about["payer"] == payer]
    for act in acts:
        if act.body["status"] == "suspended":
            ends = [
                other.sent_at
                for other in acts
                if other.body["status"] == "active" and other.answered_at > act.sent_at
            ]
            yield Span(act.answered_at, min(ends, default=float("inf")))
