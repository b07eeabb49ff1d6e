"""What a model's answer used, read from an OpenAI-shaped response or from the chunks of its stream.

Chunks may be dicts (JSON as it came) or objects of a vendor's library. Chat completions, completions and
the events of the Responses API are known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

CHAT_TEXTS: Final = ("content", "refusal")
REASONING_TEXTS: Final = ("reasoning_content", "reasoning")
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call. `cached` are part of `input`, `reasoning` part of `output`.

    `is_estimate`: the vendor's figures did not arrive, and the output was counted from what did.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    reasoning: int = 0
    is_estimate: bool = False

    @property
    def properties(self) -> dict[str, Any]:
        """As properties of an event; `counted_by` is "vendor" or "client"."""
        return {
            "input_tokens": self.input,
            "cached_tokens": self.cached,
            "output_tokens": self.output,
            "reasoning_tokens": self.reasoning,
            "counted_by": "client" if self.is_estimate else "vendor",
        }


def tokens_in(answer: Any) -> Tokens | None:
    """The tokens that a response or a chunk reports; None when it reports none."""
    usage = _get(answer, "usage") or _get(_get(answer, "response"), "usage")
    if usage is None:
        return None
    is_chat = _get(usage, "prompt_tokens") is not None or _get(usage, "completion_tokens") is not None
    sent, made = ("prompt_tokens", "completion_tokens") if is_chat else ("input_tokens", "output_tokens")
    return Tokens(
        input=_number(_get(usage, sent)),
        output=_number(_get(usage, made)),
        cached=_number(_get(_get(usage, f"{sent}_details"), "cached_tokens")),
        reasoning=_number(_get(_get(usage, f"{made}_details"), "reasoning_tokens")),
    )


class Tally:
    """Adds a stream up. `expected_input`: what the input counts where the vendor's figures do not arrive."""

    def __init__(self, expected_input: int = 0, count: Count | None = None) -> None:
        self._expected_input = expected_input
        self._count = count
        self._reported: Tokens | None = None
        self._answer: list[str] = []
        self._reasoning: list[str] = []
        self._is_empty = True

    def add(self, chunk: Any) -> None:
        """One more chunk came."""
        self._is_empty = False
        reported = tokens_in(chunk)
        if reported is not None:
            self._reported = reported  # where every chunk has figures, each is the sum so far
        for text, is_reasoning in _texts(chunk):
            (self._reasoning if is_reasoning else self._answer).append(text)

    @property
    def tokens(self) -> Tokens | None:
        """The vendor's figures, or else a count of the pieces that came; None when nothing came at all."""
        if self._is_empty:
            return None
        if self._reported is not None:
            return self._reported
        reasoning = self._counted(self._reasoning)
        return Tokens(
            input=self._expected_input,
            output=reasoning + self._counted(self._answer),
            reasoning=reasoning,
            is_estimate=True,
        )

    def _counted(self, pieces: list[str]) -> int:
        """By the caller's tokenizer; without one a piece is a token, as vendors send them."""
        return len(pieces) if self._count is None else self._count("".join(pieces))


def _texts(chunk: Any) -> Iterator[tuple[str, bool]]:
    """The pieces of generated text in a chunk, and whether each is reasoning."""
    kind, piece = _get(chunk, "type"), _get(chunk, "delta")
    if isinstance(kind, str) and isinstance(piece, str) and piece:
        yield piece, "reasoning" in kind
    for choice in _get(chunk, "choices") or ():
        delta = _get(choice, "delta")
        for name in CHAT_TEXTS:
            yield from _piece(_get(delta, name), is_reasoning=False)
        for name in REASONING_TEXTS:
            yield from _piece(_get(delta, name), is_reasoning=True)
        yield from _piece(_get(choice, "text"), is_reasoning=False)
        yield from _piece(_get(_get(delta, "function_call"), "arguments"), is_reasoning=False)
        for tool in _get(delta, "tool_calls") or ():
            yield from _piece(_get(_get(tool, "function"), "arguments"), is_reasoning=False)


def _piece(text: Any, *, is_reasoning: bool) -> Iterator[tuple[str, bool]]:
    if isinstance(text, str) and text:
        yield text, is_reasoning


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
