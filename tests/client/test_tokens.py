"""Tokens as vendors report them, and as they are counted where vendors do not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.client.chunks import USAGE, chat, last, objects
from tollgate_client import Tokens, tokens_in
from tollgate_client.tokens import Tally

ALL = Tokens(input=20, output=7, cached=12, reasoning=4)
RESPONSES_USAGE = {
    "input_tokens": 20,
    "output_tokens": 7,
    "input_tokens_details": {"cached_tokens": 12},
    "output_tokens_details": {"reasoning_tokens": 4},
}


@pytest.mark.parametrize("form", [lambda value: value, objects], ids=["json", "objects"])
@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [], "usage": USAGE},
        {"output": [], "usage": RESPONSES_USAGE},
        {"type": "response.completed", "response": {"usage": RESPONSES_USAGE}},
    ],
    ids=["chat", "response", "event"],
)
def test_figures_are_found_wherever_the_vendor_puts_them(form: Any, answer: Any) -> None:
    assert tokens_in(form(answer)) == ALL


@pytest.mark.parametrize("answer", [{}, {"usage": None}, chat("a"), None, "text", {"response": None}])
def test_no_figures_are_none(answer: Any) -> None:
    assert tokens_in(answer) is None


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 20, "completion_tokens": 7},
        {"prompt_tokens": 20, "completion_tokens": 7, "prompt_tokens_details": None},
        {
            "prompt_tokens": 20,
            "completion_tokens": 7,
            "completion_tokens_details": {"reasoning_tokens": None},
        },
    ],
)
def test_details_may_be_missing(usage: Any) -> None:
    assert tokens_in({"usage": usage}) == Tokens(input=20, output=7)


def test_tokens_become_properties() -> None:
    assert ALL.properties == {
        "input_tokens": 20,
        "cached_tokens": 12,
        "output_tokens": 7,
        "reasoning_tokens": 4,
        "counted_by": "vendor",
    }
    assert Tokens(is_estimate=True).properties["counted_by"] == "client"


def tallied(*chunks: Any, **options: Any) -> Tokens | None:
    tally = Tally(**options)
    for chunk in chunks:
        tally.add(chunk)
    return tally.tokens


def test_nothing_is_nothing() -> None:
    assert tallied() is None


def test_the_vendors_figures_win() -> None:
    assert tallied(chat("a"), chat("b"), last()) == ALL


def test_where_every_chunk_has_figures_the_last_is_the_sum() -> None:
    sums = [
        {**chat("a"), "usage": {"prompt_tokens": 20, "completion_tokens": number}} for number in (1, 2, 3)
    ]
    assert tallied(*sums[:2]) == Tokens(input=20, output=2)


@pytest.mark.parametrize("form", [lambda value: value, objects], ids=["json", "objects"])
@pytest.mark.parametrize(
    ("chunk", "reasoning", "output"),
    [
        (chat("word"), 0, 1),
        (chat(""), 0, 0),
        (chat(role="assistant"), 0, 0),
        (chat(refusal="no"), 0, 1),
        (chat(reasoning_content="hm"), 1, 1),
        (chat(reasoning="hm"), 1, 1),
        (
            chat(
                tool_calls=[
                    {"function": {"name": "f", "arguments": '{"a"'}},
                    {"function": {"arguments": "b"}},
                ]
            ),
            0,
            2,
        ),
        (chat(function_call={"arguments": "x"}), 0, 1),
        ({"choices": [{"text": "word"}]}, 0, 1),
        ({"choices": [{"delta": {"content": "a"}}, {"delta": {"content": "b"}}]}, 0, 2),
        ({"type": "response.output_text.delta", "delta": "word"}, 0, 1),
        ({"type": "response.reasoning_text.delta", "delta": "hm"}, 1, 1),
        ({"type": "response.created", "response": {"usage": None}}, 0, 0),
    ],
)
def test_without_figures_each_piece_counts(form: Any, chunk: Any, reasoning: int, output: int) -> None:
    counted = tallied(form(chunk), expected_input=20)
    assert counted == Tokens(input=20, output=output, reasoning=reasoning, is_estimate=True)


def test_a_tokenizer_counts_the_text_as_a_whole() -> None:
    counted = tallied(
        chat("one tw"), chat("o three"), chat(reasoning="hm hm"), count=lambda text: len(text.split())
    )
    assert counted == Tokens(output=5, reasoning=2, is_estimate=True)
