"""The tables in docs/algorithms/rating.md are true."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pricing.rating import preview
from pricing.rating.models import MODEL_NAMES
from tests.pricing.rating.worked import Case, worked_cases

CASES = worked_cases()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_row_comes_to_its_amount(case: Case) -> None:
    line = preview(case.item())["lines"][0]
    assert line["amount"] == case.amount
    assert sum(Decimal(row["amount"]) for row in line["breakdown"]) == Decimal(case.amount)


def test_every_model_has_a_table() -> None:
    assert {case.component["model"] for case in CASES} == set(MODEL_NAMES)


def test_every_modifier_has_a_table() -> None:
    modifiers = "included group_by maximum minimum discount_percent quantity_rounding bill_zero_usage"
    used = {name for case in CASES for name in case.component}
    assert set(modifiers.split()) <= used
