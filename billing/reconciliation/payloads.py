"""An event against the hash that its key has kept of what was sent.

The hash is of the names under which the caller was sent; the event has rows' ids. So every name that a
workspace, key or payer has had is tried, those first that fitted last.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import product
from typing import Any, Final, NamedTuple

from core.ids import public_id
from metering.payload import GIVEN, canonical_hash, canonical_payload, recorded_payload

CALLERS: Final = ("workspace", "api_key", "billing_entity")
NAMES_MAX: Final = 64
FROM_THE_HOLD: Final = tuple(
    {name for name, is_left in zip(("event", "user", "trace"), which, strict=True) if is_left}
    for which in product((True, False), repeat=3)
)
Names = Mapping[str, Mapping[int, list[str]]]
"""By field and row, the names under which a caller may have been sent."""


class StoredPayload(NamedTuple):
    """What is stored of an event's payload. `callers`: the rows' ids in the order of CALLERS."""

    name: str
    occurred_at: datetime
    properties: dict[str, Any]
    costs: list[dict[str, Any]] | None
    user: str | None
    trace: str | None
    given: int
    callers: tuple[int | None, int | None, int | None]


@dataclass(slots=True)
class PayloadProof:
    """Whether events are what was sent."""

    names: Names
    _last: dict[tuple[Any, ...], tuple[str, ...]] = field(default_factory=dict)

    def is_unchanged(self, event: StoredPayload, kept: bytes) -> bool:
        """Whether the event hashes to what its key has kept. Also true where nobody can tell any more.

        An empty hash was forgotten when a person's data was erased; the event's seal goes on telling.
        """
        if not kept:
            return True
        given = [
            (name, row) for name, row in zip(CALLERS, event.callers, strict=True) if event.given & GIVEN[name]
        ]
        choices = [self._names(name, row) for name, row in given]
        if not all(choices):
            return True
        canonical = canonical_payload(
            recorded_payload(
                name=event.name,
                user=event.user,
                trace=event.trace,
                given=event.given,
                occurred_at=event.occurred_at,
                properties=event.properties,
                costs=event.costs,
            )
        )
        key = tuple(given)
        last = self._last.get(key)
        for chosen in ([last] if last else []) + list(product(*choices))[:NAMES_MAX]:
            named = canonical | dict(zip((name for name, _ in given), chosen, strict=True))
            if canonical_hash(named) == kept:
                self._last[key] = chosen
                return True
        # A capture sends less: the rest comes from its authorization.
        return any(
            canonical_hash({name: value for name, value in canonical.items() if name not in left_out}) == kept
            for left_out in FROM_THE_HOLD
        )

    def _names(self, name: str, row: int | None) -> list[str]:
        return [] if row is None else self.names[name].get(row, [])


def names_of(prefix: str, pk: int, *others: str | None) -> list[str]:
    """All names of a row: our id, and its external ids or fingerprint."""
    return [*dict.fromkeys(name for name in others if name), public_id(prefix, pk)]
