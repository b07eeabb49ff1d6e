"""The short ways of reading an event give what the long ones give, or nothing."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from metering.aggregation.values import canonical, decimal_of, number_text
from metering.event_values import _check_cost, _plain_cost

DIGITS = st.text("0123456789", max_size=70)
WRITTEN = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "-", "+", " "]),
    DIGITS,
    st.sampled_from(["", ".", ".", "x"]),
    DIGITS,
    st.sampled_from(["", "", "0", "e3", "E-2", " ", "\n", "٣"]),
)
PARTS = st.fixed_dictionaries(
    {
        "vendor": st.sampled_from(["openai", "", "v" * 101, "a\nb", 7]),
        "currency": st.sampled_from(["USD", "usd", None]),
    },
    optional={"amount": WRITTEN | st.integers(-3, 3) | st.sampled_from([Decimal("0.5"), None, "0", "1.50"])},
)


@given(WRITTEN)
def test_a_text_has_the_one_notation_of_the_number_that_it_is(text: str) -> None:
    number = decimal_of(text)
    assert canonical(text) == (text if number is None else number_text(number))


@given(PARTS)
def test_a_cost_that_is_fine_at_first_sight_is_fine(part: dict[str, Any]) -> None:
    found = _plain_cost(part)
    assert found is None or found == _check_cost(part, "costs[0]")


def test_the_commonest_costs_are_fine_at_first_sight() -> None:
    for amount in ("0.0000001", "12", "1.50", "9" * 20 + "." + "9" * 18):
        assert _plain_cost({"vendor": "openai", "amount": amount, "currency": "USD"}) is not None
