"""All checks of a soak, and its summary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from tests.billing.invariants import broken_invariants
from tests.soak.books import Books, read_books
from tests.soak.check_answers import check_answers
from tests.soak.check_funds import check_funds, lowest
from tests.soak.check_holds import check_holds
from tests.soak.check_limits import check_limits
from tests.soak.check_states import check_states
from tests.soak.driving import Soaked

SHOWN_MAX: Final = 40


def judge(soaked: Soaked) -> tuple[list[str], list[str]]:
    """(what is wrong, the lines of the summary)"""
    with psycopg.connect(soaked.rig.postgres.dsn) as connection:
        books = read_books(connection)
        wrong = [*soaked.problems, *_wrong(soaked, books, connection)]
    wrong += [line for line in soaked.rig.run_module("tests.soak.proof").splitlines() if line]
    wrong += soaked.rig.reconcile()
    return wrong, list(_summary(soaked, books, len(wrong)))


def _wrong(soaked: Soaked, books: Books, connection: psycopg.Connection[Any]) -> Iterator[str]:
    journal, world = soaked.journal, soaked.world
    yield from check_answers(journal, books)
    yield from check_funds(journal, books, world)
    yield from check_holds(journal, books)
    yield from check_states(journal, books, world)
    yield from check_limits(journal, books, world)
    yield from broken_invariants(connection)


def _summary(soaked: Soaked, books: Books, wrong: int) -> Iterator[str]:
    counts: dict[str, Counter[int]] = {}
    for (kind, status), count in soaked.journal.counts().items():
        counts.setdefault(kind, Counter())[status] += count
    yield f"{'act':<12}{'ok':>8}{'402':>8}{'409':>8}{'other':>8}"
    for kind in sorted(counts):
        seen = counts[kind]
        ok = sum(count for status, count in seen.items() if status < 300)
        rest = seen.total() - ok - seen[402] - seen[409]
        yield f"{kind:<12}{ok:>8}{seen[402]:>8}{seen[409]:>8}{rest:>8}"
    again = sum(len(act.failures) for act in soaked.journal.acts)
    yield f"{len(soaked.journal.acts)} acts in {soaked.seconds:.0f} s, {again} sent again"
    kills = Counter(kill.kind for kill in soaked.rig.kills)
    yield "killed: " + ", ".join(f"{kind} {count}" for kind, count in sorted(kills.items()))
    strict = soaked.world.strict_payers
    prepaid = [one for one in soaked.world.payers.values() if one.is_prepaid and one.row in strict]
    least = min(lowest(books.transfers.get(one.row, ())) for one in prepaid)
    yield f"lowest balance of a payer that only asks: {least}"
    total = Counter(cause for _, cause in books.overspend.values())
    yield "overspend stated: " + (", ".join(f"{cause} {count}" for cause, count in total.items()) or "none")
    yield f"{len(books.charges)} charges, {books.event_rows} events, {len(books.holds)} holds"
    yield f"wrong: {wrong}"
