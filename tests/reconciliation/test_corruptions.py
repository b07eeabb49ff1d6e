"""Whatever a superuser changes in the record is found by the right check, with the right amount."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection

from billing.models import Discrepancy, ReconciliationRun
from billing.reconciliation.links import LINKS
from billing.reconciliation.runs import request_run, run_steps
from core.numbers import plain
from tests.reconciliation.books import Books
from tests.reconciliation.corruption import Corruption
from tests.reconciliation.corruptions import CORRUPTIONS as INSIDE
from tests.reconciliation.corruptions_outside import OUTSIDE
from tests.reconciliation.outside_books import hear_the_outside

pytestmark = pytest.mark.django_db
DOCUMENT = Path(__file__).parents[2] / "docs/operations/reconciliation.md"
HEAD = "| what was done in SQL | found by | as | amount | also told by |\n| --- | --- | --- | --- | --- |\n"
_rows: dict[str, str] = {}
CORRUPTIONS = (*INSIDE, *OUTSIDE)
OF_THE_OUTSIDE = {link.name for link in LINKS if link.is_outside}
NOT_ALONE: set[tuple[str, str]] = {("margins", "buckets_not_revenue")}
"""Types that no corruption of the table is told by: only incremental runs tell this one."""


def corrupt(sql: str) -> None:
    """What no trigger and no foreign key lets anybody do."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(sql)
        assert cursor.rowcount > 0, "nothing was changed"
        cursor.execute("SET session_replication_role = DEFAULT")


def reconcile() -> ReconciliationRun:
    """A full run, to its end."""
    run = request_run(ReconciliationRun.Kind.FULL)
    for _ in run_steps(run.pk):
        pass
    run.refresh_from_db()
    assert run.status == ReconciliationRun.Status.DONE, run.problem
    return run


@pytest.fixture(scope="module", autouse=True)
def _table() -> Iterator[None]:
    """The table in docs is the one that was run; WRITE_DOCS=1 writes it."""
    yield
    if len(_rows) < len(CORRUPTIONS):
        return  # not all were asked for
    table = HEAD + "".join(_rows[one.says] for one in CORRUPTIONS)
    text = DOCUMENT.read_text()
    before, _, rest = text.partition(HEAD)
    after = rest[len(rest.split("\n\n")[0]) :]
    if os.environ.get("WRITE_DOCS") == "1":
        DOCUMENT.write_text(before + table.rstrip("\n") + after)
        return
    assert text == before + table.rstrip("\n") + after, "run this with WRITE_DOCS=1"


def test_a_clean_system_shows_none(undone: Books) -> None:
    run = reconcile()
    assert (run.found, list(Discrepancy.objects.values_list("link", "type", "subject"))) == (0, [])
    assert run.events_checked == 9
    assert {check.link for check in run.checks.all() if not check.rows} <= {
        "bills",
        "periods",
        *OF_THE_OUTSIDE,
    }
    undone.audit()


def test_an_outside_that_agrees_shows_none(undone: Books) -> None:
    hear_the_outside(undone)
    run = reconcile()
    assert (run.found, list(Discrepancy.objects.values_list("link", "type", "subject"))) == (0, [])
    assert all(check.rows for check in run.checks.filter(link__in=OF_THE_OUTSIDE - {"bills"}))


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda one: one.says)
def test_a_corruption_is_found(undone: Books, corruption: Corruption) -> None:
    if corruption in OUTSIDE:
        hear_the_outside(undone)
    corrupt(corruption.sql)
    reconcile()
    found = [(row.link, row.type, plain(row.amount), row.unit) for row in Discrepancy.objects.order_by("pk")]
    wanted = (corruption.link, corruption.type, corruption.amount, corruption.unit)
    assert wanted in found
    _rows[corruption.says] = _row(corruption, {one[:2] for one in found} - {wanted[:2]})


def test_every_type_of_every_link_is_corrupted_once() -> None:
    told = {(one.link, one.type) for one in CORRUPTIONS}
    there = {(link.name, kind) for link in LINKS for kind in link.types}
    assert told <= there
    assert there - told <= NOT_ALONE, "add a corruption"


def _row(one: Corruption, others: set[tuple[str, str]]) -> str:
    also = ", ".join(f"`{link}.{kind}`" for link, kind in sorted(others))
    return f"| {one.says} | {one.link} | `{one.type}` | {one.amount} {one.unit} | {also} |\n"
