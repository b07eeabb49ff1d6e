"""docs/operations/reconciliation.md names for each type the repairs that it has, and no other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.reconciliation.links import LINKS
from billing.reconciliation.repairs.actions import ACTIONS
from tests.billing.authorizing import table

DOCUMENT = Path(__file__).parents[3] / "docs/operations/reconciliation.md"
ROWS = table("as | means | what to do", DOCUMENT)
TYPES = sorted({kind for link in LINKS for kind in link.types})


def rows_of(kind: str) -> Iterator[dict[str, str]]:
    return (row for row in ROWS if f"`{kind}`" in row["as"].split(", "))


@pytest.mark.parametrize("kind", TYPES)
def test_what_to_do_about_a_type_is_what_can_be_done(kind: str) -> None:
    (row,) = rows_of(kind)
    named = set(re.findall(r"\*\*(.+?)\*\*", row["what to do"]))
    assert named == {action.title for action in ACTIONS if kind in {fit[1] for fit in action.fits}}


def test_the_table_has_no_type_that_nothing_finds() -> None:
    assert {kind.strip("`") for row in ROWS for kind in row["as"].split(", ")} == set(TYPES)


def test_every_repair_is_for_something_that_a_link_finds() -> None:
    found = {(link.name, kind) for link in LINKS for kind in link.types}
    assert all(action.fits <= found for action in ACTIONS)
