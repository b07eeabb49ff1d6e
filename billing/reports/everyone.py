"""The latest rows of a hot table over all customers, page by page. No index has them in one order.

Each customer's rows are in the order of their ids, which begin with the instant; `billing.store_reports`
merges them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar
from uuid import UUID

from accounts.scoping import Viewer, visible
from billing.models import Charge
from billing.store_reports import ANY_ID, NO_ID, RowKey
from metering.models import UsageEvent

ROWS_MAX: Final = 100_000
"""How many rows an export over all customers has at most."""
_CHUNK: Final = 1_000
Row = TypeVar("Row", Charge, UsageEvent)


class FindKeys(Protocol):
    """Where the latest rows are; `is_rising`: the earliest above `above` instead, in that order."""

    def __call__(self, *, limit: int, above: UUID, below: UUID, is_rising: bool) -> list[RowKey]:
        """At most `limit` keys of rows whose ids lie between `above` and `below`."""
        ...


@dataclass(frozen=True, slots=True)
class Everyone(Generic[Row]):
    """The rows of `model` that `find` finds, the latest first."""

    viewer: Viewer
    model: type[Row]
    find: FindKeys

    def page(self, *, after: UUID | None, before: UUID | None, size: int) -> list[Row]:
        """At most `size` rows that follow the cursor `after`, or precede `before`, the latest first."""
        keys = self.find(
            limit=size, above=before or NO_ID, below=after or ANY_ID, is_rising=before is not None
        )
        if not keys:
            return []
        instants = [key.recorded_at for key in keys]
        everything: Any = visible(self.model, self.viewer)
        rows = everything.filter(
            customer_id__in={key.customer_id for key in keys},
            id__in=[key.id for key in keys],
            recorded_at__gte=min(instants),
            recorded_at__lte=max(instants),
        )
        return sorted(rows, key=lambda row: row.id, reverse=True)

    def __iter__(self) -> Iterator[Row]:
        """All of them, up to `ROWS_MAX`."""
        after: UUID | None = None
        for _ in range(ROWS_MAX // _CHUNK):
            page = self.page(after=after, before=None, size=_CHUNK)
            yield from page
            if len(page) < _CHUNK:
                return
            after = page[-1].id
