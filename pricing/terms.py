"""What a stored version fixes, read once per process and content."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

from pricing.catalog import PlanTerms, read_plan
from pricing.models import PlanVersion

CACHED_MAX: Final = 4096


def terms_of(version: PlanVersion) -> PlanTerms:
    """The terms of a version. The same content has the same terms, so its hash is the key."""
    return _read(_Content(version.content_hash, version.content))


class _Content:
    """A content that is as equal as its hash."""

    __slots__ = ("content", "content_hash")

    def __init__(self, content_hash: str, content: Any) -> None:
        self.content_hash = content_hash
        self.content = content

    def __hash__(self) -> int:
        return hash(self.content_hash)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Content) and other.content_hash == self.content_hash


@lru_cache(maxsize=CACHED_MAX)
def _read(content: _Content) -> PlanTerms:
    return read_plan(content.content)
