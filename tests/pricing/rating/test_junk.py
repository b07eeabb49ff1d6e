"""Whatever stands in a document, the answer is an amount or a refusal, never an accident."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import InvalidRequest
from core.jsonio import write_json
from pricing.rating import preview
from tests.pricing.rating.strategies import components, events

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=5),
    st.sampled_from(
        ["0", "-1", "1e5", "NaN", "9" * 40, "0." + "0" * 40 + "1", "per_unit", "USD", [], {}, [[]]]
    ),
    st.dictionaries(
        st.sampled_from(["quantity", "events", "previous", "up_to", "m"]), st.just("1"), max_size=2
    ),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) in a document."""
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    found = [(value, key) for key in keys]
    for key in keys:
        found += places(value[key])
    return found


@settings(max_examples=400, deadline=None)
@given(components(), events(max_size=3), st.data())
def test_junk_anywhere_is_answered_or_refused(
    component: dict[str, Any], usage: list[dict[str, Any]], data: st.DataObject
) -> None:
    item: dict[str, Any] = {
        "currency": "USD",
        "base_fees": [{"key": "fee", "amount": "1"}],
        "components": [component],
        "usage": {"c": {"events": usage}},
        "previous": {"c": {"by_dimensions": [{"dimensions": {"model": "a"}, "quantity": "1"}]}},
    }
    item = copy.deepcopy(item)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(item)))
        container[key] = data.draw(JUNK)
    try:
        answer = preview(item)
    except InvalidRequest as refused:
        answer = refused.as_dict()
    assert write_json(answer)
