"""What the tests of the engine share: one component, some usage, one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from core.errors import InvalidRequest
from pricing.rating import preview

Document = dict[str, Any]


@pytest.fixture
def line() -> Callable[..., Document]:
    """Gives the line of one component: `line({"model": ...}, {"quantity": "5"}, previous=...)`."""

    def line_of(component: Document, usage: Any, previous: Any = None, currency: str = "USD") -> Document:
        item = {"currency": currency, "components": [{"key": "c"} | component], "usage": {"c": usage}}
        if previous is not None:
            item["previous"] = {"c": previous}
        answer: Document = preview(item)["lines"][0]
        return answer

    return line_of


@pytest.fixture
def refusal() -> Callable[[Any], tuple[str, str | None]]:
    """Gives (code, param) of the error that a document is answered with."""

    def refusal_of(item: Any) -> tuple[str, str | None]:
        with pytest.raises(InvalidRequest) as caught:
            preview(item)
        return caught.value.code, caught.value.param

    return refusal_of
