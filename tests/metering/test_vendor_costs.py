"""Vendor costs of language model calls: equal to the genai-prices package, unknown rather than wrong."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.data_snapshot import get_snapshot

from core.numbers import round_amount
from metering.vendor_costs import cost_part, vendor_cost

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MODELS = [(provider, model) for provider in get_snapshot().providers for model in provider.models]


def library_cost(provider: str, model: str, counts: dict[str, int], at: datetime) -> Decimal | None:
    """What the package itself answers; None where it refuses."""
    try:
        answer = calc_price(Usage(**counts), model, provider_id=provider, genai_request_timestamp=at)
    except (LookupError, ValueError):
        return None
    return round_amount(answer.total_price)


def random_counts(rng: random.Random) -> dict[str, int]:
    sizes = [0, 1, 999, 127_999, 128_000, 128_001, 200_000, 200_001, 272_001, 1_000_001, rng.randrange(10**6)]
    counts = {"input_tokens": rng.choice(sizes), "output_tokens": rng.choice(sizes)}
    for name in ("cache_read_tokens", "cache_write_tokens"):
        if rng.random() < 0.4:
            counts[name] = rng.choice([0, 1, 10, counts["input_tokens"] // 2, counts["input_tokens"] + 1])
    for name in list(counts):
        if rng.random() < 0.1:
            del counts[name]
    return counts


def test_tokens_are_priced_as_the_vendor_lists_them() -> None:
    counts = {"input_tokens": 1000, "output_tokens": 20}
    assert vendor_cost("openai", "gpt-4o", counts, NOON) == Decimal("0.0027")
    assert vendor_cost("openai", "gpt-4o", counts | {"cache_read_tokens": 100}, NOON) == Decimal("0.002575")


def test_an_event_gives_provider_model_and_counts() -> None:
    properties = {"provider": " OpenAI", "model": "gpt-4o-2024-08-06", "input_tokens": "1000", "region": "eu"}
    part = cost_part(properties, NOON)
    assert part is not None
    assert (part.vendor, part.amount, part.currency) == ("openai", Decimal("0.0025"), "USD")


def test_counts_may_be_called_as_openai_calls_them() -> None:
    ours = {"input_tokens": 1000, "output_tokens": 20, "cache_read_tokens": 100}
    theirs = {"prompt_tokens": 1000, "completion_tokens": 20, "cached_tokens": 100}
    assert vendor_cost("openai", "gpt-4o", theirs, NOON) == vendor_cost("openai", "gpt-4o", ours, NOON)
    both = ours | {"prompt_tokens": 5}
    assert vendor_cost("openai", "gpt-4o", both, NOON) == vendor_cost("openai", "gpt-4o", ours, NOON)


@pytest.mark.parametrize("seed", range(8))
def test_any_model_of_the_table_costs_what_the_library_says(seed: int) -> None:
    """Except where the library counts tokens without a price as free: that is unknown to us."""
    rng = random.Random(seed)
    known = 0
    for provider, model in rng.sample(MODELS, 400):
        counts = random_counts(rng)
        at = NOON + timedelta(hours=rng.randrange(-30_000, 10_000))
        ours = vendor_cost(provider.id, model.id, counts, at)
        theirs = library_cost(provider.id, model.id, counts, at)
        if ours is None:
            assert theirs is None or not counts or is_partly_unpriced(provider.id, model.id, counts, at)
        else:
            known += 1
            assert ours == theirs, (provider.id, model.id, counts, at)
    assert known > 250


def is_partly_unpriced(provider: str, model: str, counts: dict[str, int], at: datetime) -> bool:
    """Whether doubling some count leaves the library's price as it was, or there is none to begin with."""
    if not any(counts.values()):
        return True
    for name, count in counts.items():
        # Cached tokens are priced as input where they have no price of their own.
        base = {"input_tokens": 10, "output_tokens": 10}
        if count and library_cost(provider, model, base | {name: 20}, at) == library_cost(
            provider, model, base, at
        ):
            return True
    return False


@pytest.mark.parametrize(
    ("provider", "model", "properties"),
    [
        ("openai", "no-such-model", {"input_tokens": 1}),
        ("nobody", "gpt-4o", {"input_tokens": 1}),
        ("", "", {"input_tokens": 1}),
        ("x" * 100_000, "gpt-4o", {"input_tokens": 1}),
        ("openai", "gpt-4o", {}),
        ("openai", "gpt-4o", {"tokens": 5}),
        ("openai", "gpt-4o", {"input_tokens": None}),
        ("openai", "gpt-4o", {"input_tokens": "many"}),
        ("openai", "gpt-4o", {"input_tokens": True}),
        ("openai", "gpt-4o", {"input_tokens": [1]}),
        ("openai", "gpt-4o", {"input_tokens": -1}),
        ("openai", "gpt-4o", {"input_tokens": float("nan")}),
        ("openai", "gpt-4o", {"input_tokens": Decimal("Infinity")}),
        ("openai", "gpt-4o", {"input_tokens": 10**40}),
        ("openai", "gpt-4o", {"input_tokens": 1, "output_tokens": "x"}),
        ("openai", "gpt-4o", {"input_tokens": 10, "cache_read_tokens": 11}),
        ("openai", "gpt-4o", {"cache_read_tokens": 11}),
        ("openai", "gpt-4o", {"web_searches": "some"}),
        ("openai", "text-embedding-3-small", {"input_tokens": 10, "output_tokens": 5}),
        ("azure", "phi-4-reasoning:free", {"input_tokens": 10}),
    ],
)
def test_a_cost_that_is_not_known_is_none_and_never_an_error(
    provider: str, model: str, properties: dict[str, Any]
) -> None:
    assert vendor_cost(provider, model, properties, NOON) is None


@pytest.mark.parametrize("properties", [{}, {"provider": "openai"}, {"provider": 5, "model": ["gpt-4o"]}])
def test_an_event_without_provider_and_model_has_no_part(properties: dict[str, Any]) -> None:
    assert cost_part(properties | {"input_tokens": 5}, NOON) is None


def test_counts_that_the_model_does_not_price_and_are_no_tokens_do_not_matter() -> None:
    """A podcast's seconds of audio are the operator's own number, not the vendor's."""
    counts = {"input_tokens": 1000, "audio_seconds": 60, "input_characters": "n/a"}
    assert vendor_cost("openai", "gpt-4o", counts, NOON) == Decimal("0.0025")


def test_no_tokens_cost_nothing() -> None:
    assert vendor_cost("openai", "gpt-4o", {"input_tokens": 0, "output_tokens": 0}, NOON) == 0


def test_other_units_are_priced_by_the_library() -> None:
    assert vendor_cost("openai", "gpt-4o", {"input_tokens": 0, "web_searches": 1000}, NOON) == Decimal(10)
    short = vendor_cost("groq", "whisper-large-v3", {"audio_seconds": 1}, NOON)
    assert short == library_cost("groq", "whisper-large-v3", {"audio_seconds": 10}, NOON)
    assert short


def test_a_price_that_changes_over_time_is_taken_at_the_instant() -> None:
    changing = [
        (provider.id, model.id)
        for provider, model in MODELS
        if isinstance(model.prices, list) and model.prices and model.prices[-1].constraint is not None
    ]
    assert changing
    counts = {"input_tokens": 1_000_000}
    differing = 0
    for provider, model in changing:
        costs = [
            vendor_cost(provider, model, counts, NOON + timedelta(days=days)) for days in (-2000, 0, 2000)
        ]
        expected = [
            library_cost(provider, model, counts, NOON + timedelta(days=days)) for days in (-2000, 0, 2000)
        ]
        assert [cost or None for cost in costs] == [cost or None for cost in expected]
        differing += len(set(costs)) > 1
    assert differing > 10


def test_huge_counts_are_exact() -> None:
    cost = vendor_cost("openai", "gpt-4o", {"input_tokens": 10**20 - 1}, NOON)
    assert cost == Decimal("2.5") * (10**20 - 1) / 10**6


def test_unknown_models_leave_no_trace_in_the_library() -> None:
    snapshot = get_snapshot()
    before = len(snapshot._provider_cache) + len(snapshot._provider_misses) + len(snapshot._lookup_cache)
    for number in range(50):
        vendor_cost("openai", f"unheard-of-{number}", {"input_tokens": 1}, NOON)
        vendor_cost(f"nobody-{number}", "gpt-4o", {"input_tokens": 1}, NOON)
    after = len(snapshot._provider_cache) + len(snapshot._provider_misses) + len(snapshot._lookup_cache)
    assert after == before


def test_a_cost_takes_a_few_microseconds() -> None:
    """A loose bound: asking the library takes ten to twenty times as long."""
    properties = {"provider": "openai", "model": "gpt-4o", "input_tokens": 1234, "output_tokens": 56}
    best = 1.0
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(500):
            cost_part(properties, NOON)
        best = min(best, time.perf_counter() - started)
    assert best / 500 < 40e-6
