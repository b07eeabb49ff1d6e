"""What a link is: two sides that must agree, and a check that names what of a batch of payers does not.

A check sees one snapshot (REPEATABLE READ). Everything of a payer is written in one transaction under its
lock, so within a snapshot the sides agree exactly, or something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

import psycopg

from billing.store_reconciliation import Params, fetch, span_params
from core.numbers import CONTEXT, ZERO

EVENTS: Final = "events"
KEYS: Final = "keys"
ROWS: Final = "rows"
NUMBERS: Final = "numbers"
CALLS: Final = "calls"
"""Units of what is no money."""

SumKey = tuple[int, int, str]
"""(customer, payer, name of the sum within its link)"""


class Span(NamedTuple):
    """A payer and which of its numbers are looked at: `after < seq <= upto`; `after` 0 = everything."""

    customer_id: int
    payer_id: int
    after: int
    upto: int
    currency: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing on which the sides of a link disagree; see `billing.models.Discrepancy`.

    `subject` must name the thing in the same words in every run. `amount` None: actual - expected, a side
    that is missing counting as 0.
    """

    type: str
    subject: str
    unit: str
    expected: Decimal | None = None
    actual: Decimal | None = None
    customer_id: int | None = None
    payer_id: int | None = None
    amount: Decimal | None = None
    cause: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def difference(self) -> Decimal:
        """By how much the sides differ."""
        if self.amount is not None:
            return self.amount
        return CONTEXT.subtract(self.actual or ZERO, self.expected or ZERO)


@dataclass(slots=True)
class Checked:
    """What a check came to: rows that it looked at, what it found, and the sums that held.

    `sums` are kept when nothing of the payer disagrees; the next incremental run gets them as `Scope.proven`.
    """

    rows: int = 0
    findings: list[Finding] = field(default_factory=list)
    sums: dict[SumKey, Decimal] = field(default_factory=dict)


@dataclass
class Scope:
    """A batch of payers in one snapshot. Of a customer, either all payers are in it or none.

    `raw` is the connection whose transaction is the snapshot, `now` when it was taken. Links of the outside
    get one with no spans.
    """

    raw: psycopg.Connection[Any]
    spans: Sequence[Span]
    now: datetime
    proven: Mapping[str, Mapping[SumKey, Decimal]] = field(default_factory=dict)

    @cached_property
    def by_payer(self) -> dict[int, Span]:
        """The spans by their payers' ids."""
        return {span.payer_id: span for span in self.spans}

    @cached_property
    def customer_ids(self) -> list[int]:
        """Whose payers these are."""
        return sorted({span.customer_id for span in self.spans})

    @cached_property
    def whole(self) -> frozenset[int]:
        """The customers of whom everything is looked at: all their spans begin at 0."""
        partly = {span.customer_id for span in self.spans if span.after}
        return frozenset(self.customer_ids) - partly

    @cached_property
    def params(self) -> Params:
        """What statements that begin with `WITH span AS (...)` are given."""
        return span_params(self.spans)

    def rows(self, query: str, **params: Any) -> list[tuple[Any, ...]]:
        """Run a statement in the snapshot. It may read `span` (customer_id, payer_id, after, upto)."""
        return fetch(self.raw, query, self.params | params)

    def currency(self, payer_id: int) -> str:
        """A payer's currency."""
        return self.by_payer[payer_id].currency


@dataclass(frozen=True, slots=True)
class Link:
    """Two sides that must agree: `left` is believed, `right` follows from it.

    `check` is called with every batch of payers; of a link of the outside (`is_outside`) once, at the end of
    a run over all customers, and it looks at everything. `types`: what it may find, each with a sentence.
    """

    name: str
    left: str
    right: str
    types: Mapping[str, str]
    check: Callable[[Scope], Checked]
    is_outside: bool = False
