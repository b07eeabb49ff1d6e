"""The tables in docs/algorithms/aggregation.md are true."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import InvalidRequest
from core.instants import instant_text, parse_instant
from core.numbers import plain
from metering.aggregation import parse_filter
from metering.aggregation.door import aggregate_document
from metering.aggregation.filters import OPS, join_all
from metering.aggregation.kinds import AGGREGATIONS
from metering.aggregation.paths import compile_path
from metering.aggregation.values import number_of, text_of
from metering.payload import differing_fields, payload_hash
from tests.metering.aggregation.worked import PERIOD, Row, code, table, worked_documents

DOCUMENTS = worked_documents()


def named(row: Row) -> str:
    return " | ".join(row.values())


@pytest.mark.parametrize(("name", "document", "answer"), DOCUMENTS, ids=[case[0] for case in DOCUMENTS])
def test_a_document_has_its_answer(name: str, document: dict[str, Any], answer: dict[str, Any]) -> None:
    assert aggregate_document(document) == answer


def test_every_aggregation_has_a_table() -> None:
    assert {document["meter"]["aggregation"] for _, document, _ in DOCUMENTS} == set(AGGREGATIONS)


@pytest.mark.parametrize("row", table("Instants"), ids=named)
def test_an_instant_is_read(row: Row) -> None:
    text = row["instant"].strip("`")
    if row["UTC"] == "error":
        with pytest.raises(InvalidRequest) as caught:
            parse_instant(text, "here")
        assert (caught.value.code, caught.value.param) == ("invalid_instant", "here")
    else:
        assert instant_text(parse_instant(text)) == row["UTC"]


@pytest.mark.parametrize("row", table("What a value is"), ids=named)
def test_a_value_has_its_number_and_its_text(row: Row) -> None:
    value = code(row["JSON"])
    number, text = number_of(value), text_of(value)
    assert ("none" if number is None else plain(number)) == row["number"]
    assert ("missing" if text is None else text) == row["text"]


@pytest.mark.parametrize("row", table("Paths"), ids=named)
def test_a_path_finds_its_property(row: Row) -> None:
    found = compile_path(row["path"].strip("`"))(code(row["properties"]))
    assert found == (None if row["finds"] == "nothing" else code(row["finds"]))


@pytest.mark.parametrize("row", table("Conditions"), ids=named)
def test_a_condition_passes_or_not(row: Row) -> None:
    matches = join_all(parse_filter([{"property": "x"} | code(row["condition"])]))
    assert matches is not None
    properties = {} if row["value of x"] == "missing" else {"x": code(row["value of x"])}
    assert matches(properties) is (row["passes"] == "yes")


def test_every_op_has_a_row() -> None:
    assert {code(row["condition"])["op"] for row in table("Conditions")} == set(OPS)


@pytest.mark.parametrize("row", table("Keys"), ids=named)
def test_a_payload_differs_in_what_both_sides_have(row: Row) -> None:
    first, second = code(row["first"]), code(row["second"])
    differing = row["differs in"].split()
    assert differing_fields(first, second) == differing_fields(second, first) == differing
    if differing:
        assert payload_hash(first) != payload_hash(second)


@pytest.mark.parametrize("row", table("Bad definitions"), ids=named)
def test_a_bad_definition_names_the_place(row: Row) -> None:
    with pytest.raises(InvalidRequest) as caught:
        aggregate_document({"meter": code(row["meter"]), "period": PERIOD, "events": []})
    assert caught.value.param == row["param"]
