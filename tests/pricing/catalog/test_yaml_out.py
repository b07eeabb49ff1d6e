"""Content written as YAML reads back as the same values, whatever texts stand in it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pricing.catalog import read_documents, read_plan
from pricing.catalog.yaml_out import write_documents
from tests.pricing.documents import FULL_PLAN


def back(text: str) -> list[Any]:
    """The values of the documents of a YAML text."""
    return [document.value for document in read_documents(text.encode(), "f.yaml")]


def test_a_plan_is_written_for_people() -> None:
    content = read_plan(
        {
            "plan": "pro",
            "name": "Pro & more",
            "currency": "USD",
            "base_fees": [{"key": "platform", "amount": "49.00"}],
            "components": [
                {
                    "key": "tok",
                    "meter": "tokens",
                    "model": "graduated",
                    "tiers": [
                        {"up_to": "1000", "unit_price": "0.01"},
                        {"up_to": None, "unit_price": "0.005"},
                    ],
                    "group_by": ["model", "region"],
                }
            ],
            "trial": {"days": 14},
        }
    ).content()
    assert write_documents([content]) == (
        "plan: pro\n"
        'name: "Pro & more"\n'
        "currency: USD\n"
        "interval: month\n"
        "anchor: calendar\n"
        "base_fees:\n"
        '  - {key: platform, amount: "49", timing: in_advance, prorate: false}\n'
        "components:\n"
        "  - key: tok\n"
        "    meter: tokens\n"
        "    model: graduated\n"
        "    group_by: [model, region]\n"
        "    tiers:\n"
        '      - {unit_price: "0.01", up_to: "1000"}\n'
        '      - {unit_price: "0.005", up_to: null}\n'
        "trial:\n"
        "  days: 14\n"
    )


def test_documents_are_divided() -> None:
    text = write_documents([{"meters": [{"key": "calls"}]}, {"plan": "a"}, {"plan": "b"}])
    assert text.count("---\n") == 2
    assert back(text) == [{"meters": [{"key": "calls"}]}, {"plan": "a"}, {"plan": "b"}]


def test_everything_that_a_plan_may_say_reads_back() -> None:
    content = read_plan(FULL_PLAN).content()
    [value] = back(write_documents([content]))
    assert value == content
    assert read_plan(value) == read_plan(FULL_PLAN)


@pytest.mark.parametrize(
    "text",
    [
        *("1", "0.01", "1e5", "0x1F", "0o17", "1_000", "-5", "+5", ".5", "5.", ".inf", ".nan", "00"),
        *("true", "True", "yes", "No", "on", "OFF", "y", "null", "Null", "~", "", " ", "  a  "),
        *("2026-01-01", "2026-01-01T00:00:00Z", "12:30:45", "<<", "=", "- a", "? a", ": a", "a: b", "a #b"),
        *("#", "&a", "*a", "!tag", "|", ">", "%", "@", "`", "'", '"', "{", "[", "]", "a,b", "---", "..."),
        *("ä", "日本", "\u00a0", "\u2028", "\ufeffa", "tab\tin", "a\\b", "emoji \U0001f600", "x" * 200),
    ],
)
def test_a_text_stays_a_text_as_value_and_as_key(text: str) -> None:
    document = {"name": text, "list": [text, text], "match": {text or "k": text}}
    assert back(write_documents([document])) == [document]


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
VALUES = st.recursive(
    TEXTS | st.booleans() | st.integers(-(10**18), 10**18) | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(TEXTS, VALUES, min_size=1, max_size=4))
def test_any_values_read_back(document: dict[str, Any]) -> None:
    assert back(write_documents([document])) == [document]
