"""A name of a route leads to one place: a page's link must never lead to the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from django.urls import get_resolver


def _named(patterns: Any, prefix: str = "", space: str = "") -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if hasattr(pattern, "url_patterns"):
            yield from _named(pattern.url_patterns, address, space + f"{pattern.namespace or ''}:")
        elif pattern.name:
            yield space + pattern.name, address


def test_no_page_and_no_endpoint_share_a_name() -> None:
    found: dict[str, set[bool]] = defaultdict(set)
    for name, address in _named(get_resolver().url_patterns):
        found[name.lstrip(":")].add(address.startswith("v1/"))
    assert len(found) > 100
    assert [name for name, kinds in found.items() if len(kinds) > 1] == []
