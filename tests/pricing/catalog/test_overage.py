"""What a version charges for and an older one included or blocked: the table of rollouts.md, and models."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pricing.catalog.overage import Cause, Overage, introduced_overage

DOCUMENT = Path(__file__).parents[3] / "docs/algorithms/rollouts.md"
_PRICED = re.compile(r"(?:included (?P<included>\d+) )?at (?P<price>[\d.]+)(?P<group> by model)?")
_TIERS = re.compile(r"tiers (?P<up_to>\d+) at (?P<first>[\d.]+), rest at (?P<rest>[\d.]+)")


def content(*components: dict[str, Any], **terms: Any) -> dict[str, Any]:
    parts = [{"key": f"c{number}", "meter": "tok"} | part for number, part in enumerate(components)]
    return {"plan": "p", "name": "P", "currency": "USD", "interval": "month", "components": parts} | terms


def quota(limit: str) -> list[dict[str, Any]]:
    return [{"feature": "tok", "type": "metered", "meter": "tok", "limit": limit}]


def version(words: str) -> dict[str, Any]:
    """A version from the table's words."""
    tiers = _TIERS.search(words)
    if tiers:
        rows = [(tiers["up_to"], tiers["first"]), (None, tiers["rest"])]
        priced = [{"model": "graduated", "tiers": [{"up_to": to, "unit_price": at} for to, at in rows]}]
    else:
        priced = [
            {"model": "per_unit", "unit_price": found["price"]}
            | ({"included": found["included"]} if found["included"] else {})
            | ({"group_by": ["model"]} if found["group"] else {})
            for found in _PRICED.finditer(words)
        ]
    limit = re.search(r"limit (\d+)", words)
    return content(*priced, **({"entitlements": quota(limit[1])} if limit else {}))


def table() -> list[list[str]]:
    section = DOCUMENT.read_text().split('## "Introduces overage"')[1].split("## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_the_table_is_there() -> None:
    assert len(table()) == 21


@pytest.mark.parametrize(("old", "new", "cause", "ceiling"), table())
def test_the_worked_table(old: str, new: str, cause: str, ceiling: str) -> None:
    found = introduced_overage(version(old), version(new))
    if cause == "-":
        assert found == ()
        return
    assert found == (Overage("tok", Cause(cause), None if ceiling == "-" else Decimal(ceiling)),)


@pytest.mark.parametrize(
    ("old", "new", "is_marked"),
    [
        ({"model": "package", "package_size": "10", "package_price": "0"}, "at 1", True),
        ({"model": "package", "package_size": "10", "package_price": "1"}, "at 1", False),
        ({"model": "percentage", "rate": "0", "fixed_fee": "0"}, "at 1", True),
        ({"model": "percentage", "rate": "0", "fixed_fee": "0.1"}, "at 1", False),
        ({"model": "percentage", "rate": "0.1", "free_amount": "50"}, "at 1", True),
        ({"model": "cost_plus", "markup": "0"}, "at 1", False),
        ({"model": "per_unit", "unit_price": "1", "discount_percent": "100"}, "at 1", True),
        (
            {"model": "matrix", "dimensions": ["m"], "cells": [{"match": {"m": "a"}, "unit_price": "0"}]},
            "at 1",
            True,
        ),
        (
            {"model": "matrix", "dimensions": ["m"], "cells": [{"match": {"m": "a"}, "unit_price": "1"}]},
            "at 1",
            False,
        ),
        ({"model": "volume", "tiers": [{"up_to": None, "unit_price": "0"}]}, "at 1", True),
        (
            {
                "model": "graduated_percentage",
                "tiers": [{"up_to": "9", "rate": "0"}, {"up_to": None, "rate": "1"}],
            },
            "at 1",
            True,
        ),
        ({"model": "volume", "tiers": [{"up_to": None, "unit_price": "0", "flat_fee": "3"}]}, "at 1", False),
    ],
)
def test_every_model_says_what_is_free(old: dict[str, Any], new: str, is_marked: bool) -> None:
    assert bool(introduced_overage(content(old), version(new))) is is_marked


def test_fewer_free_transactions_are_marked_without_a_ceiling() -> None:
    def free(number: int) -> dict[str, Any]:
        return content({"model": "percentage", "rate": "0.01", "free_transactions": number})

    assert introduced_overage(free(10), free(5)) == (Overage("tok", Cause.INCLUDED_FALLS, None),)
    assert introduced_overage(free(5), free(10)) == ()


def test_two_components_of_a_meter_are_as_free_as_the_less_free_one() -> None:
    old = content(
        {"model": "per_unit", "unit_price": "1", "included": "100"},
        {"model": "per_unit", "unit_price": "1", "included": "40"},
    )
    assert introduced_overage(old, version("included 40 at 1")) == ()
    assert introduced_overage(old, version("included 30 at 1")) == (
        Overage("tok", Cause.INCLUDED_FALLS, Decimal(40)),
    )


def test_a_ceiling_is_shown_in_plain_notation() -> None:
    (found,) = introduced_overage(version("included 100 at 1"), version("at 1"))
    assert found.content() == {"meter": "tok", "cause": "included_falls", "ceiling": "100"}
