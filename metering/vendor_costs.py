"""What a vendor of language models takes for a call, from the price table of the genai-prices package.

The table ships with the package and is never fetched. A cost is in USD; unknown is None, never 0. Asking
the library takes some 70 microseconds, so plain token counts are priced by a compiled copy of its prices.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from genai_prices import Usage
from genai_prices.data_snapshot import DataSnapshot, get_snapshot
from genai_prices.types import ModelInfo, Provider

from core.numbers import ZERO, round_amount
from metering.aggregation.values import number_of
from metering.event_values import CostPart
from metering.vendor_prices import TOKEN_COUNTS, UNITS, Counts, compile_prices

CURRENCY: Final = "USD"
_NAME_LENGTH_MAX: Final = 200
_COUNT_NAMES: Final = {name: name for name in UNITS.units if name != "requests"} | {
    # As the vendors' own answers call them. Cached tokens are part of the input tokens.
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "cached_tokens": "cache_read_tokens",
    "cached_input_tokens": "cache_read_tokens",
}
PROPERTIES: Final = frozenset({"provider", "model", *_COUNT_NAMES})
"""What of an event its cost is read from."""


def cost_part(properties: Mapping[str, Any], occurred_at: datetime) -> CostPart | None:
    """What the vendor takes for an event that names `provider`, `model` and counts; None when not known.

    Counts are the properties called as the table calls them (`input_tokens output_tokens cache_read_tokens
    cache_write_tokens ...`) or as OpenAI's answers do (`prompt_tokens completion_tokens cached_tokens`).
    """
    provider, model = properties.get("provider"), properties.get("model")
    if not isinstance(provider, str) or not isinstance(model, str):
        return None
    amount = vendor_cost(provider, model, properties, occurred_at)
    return None if amount is None else CostPart(provider.strip().lower(), amount, CURRENCY)


def vendor_cost(
    provider: str, model: str, properties: Mapping[str, Any], occurred_at: datetime
) -> Decimal | None:
    """The cost in USD, to 18 decimals, of a call with the counts among `properties` at `occurred_at`.

    None when provider or model are unknown, no count that the model is priced by is given, a token count has
    no price, or the counts contradict each other (more cached tokens than input tokens). Never raises.
    """
    found = _find_model(provider, model) if len(provider) + len(model) <= _NAME_LENGTH_MAX else None
    counts = _read_counts(properties)
    if found is None or not counts:
        return None
    prices = found[1].get_prices(occurred_at)
    compiled = compile_prices(prices)
    if not _is_priced(counts, compiled.priced):
        return None
    if compiled.is_quick and counts.keys() <= TOKEN_COUNTS:
        return compiled.cost_of(counts)
    return _library_cost(found, counts, occurred_at)


def _is_priced(counts: Counts, priced: frozenset[str]) -> bool:
    """Whether the counts say something on the cost, and no tokens were used that have no price."""
    for name, count in counts.items():
        if count and name not in priced and name.endswith("_tokens"):
            return False
    return not priced.isdisjoint(counts)


def _read_counts(properties: Mapping[str, Any]) -> Counts | None:
    """The counts among an event's properties; None when its tokens are not a number of at least 0."""
    counts: Counts = {}
    for name, value in properties.items():
        known = _COUNT_NAMES.get(name)
        if known is None or value is None or (known != name and known in properties):
            continue
        count = number_of(value)
        if count is not None and count >= ZERO:
            counts[known] = count
        elif known.endswith("_tokens"):
            return None
    return counts


@lru_cache(maxsize=4096)
def _find_model(provider: str, model: str) -> tuple[Provider, ModelInfo] | None:
    # A snapshot of its own: the library's keeps every name that it was ever asked for.
    table = DataSnapshot(providers=get_snapshot().providers, from_auto_update=False)
    try:
        found = table.find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    # Some models are in the table without any price list.
    return found if found[1].prices else None


def _library_cost(found: tuple[Provider, ModelInfo], counts: Counts, occurred_at: datetime) -> Decimal | None:
    provider, model = found
    try:
        answer = model.calc_price(Usage(**counts), provider, genai_request_timestamp=occurred_at)
    except (ValueError, ArithmeticError):
        return None
    return round_amount(answer.total_price)
