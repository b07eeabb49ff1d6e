"""What a check looks at: a batch of payers in one snapshot (REPEATABLE READ).

Everything of a payer is written in one transaction under its lock, so within a snapshot the sides of a link
agree exactly, or something is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, Final, NamedTuple

import psycopg

from billing.reconciliation.finding import SumKey
from billing.reconciliation.usage import UsageProof, prove_usage
from billing.store_reconciliation import Params, fetch, span_params

COUNTS: Final = """
    SELECT (SELECT count(*) FROM span JOIN metering_usageevent e ON e.customer_id = span.customer_id
                AND e.billing_entity_id = span.payer_id AND e.seq > span.after),
           (SELECT count(*) FROM span JOIN billing_charge c ON c.customer_id = span.customer_id
                AND c.billing_entity_id = span.payer_id AND c.seq > span.after),
           (SELECT count(*) FROM span JOIN billing_transfer t ON t.customer_id = span.customer_id
                AND t.billing_entity_id = span.payer_id AND t.seq > span.after)"""


class Span(NamedTuple):
    """A payer and which of its numbers are looked at: `after < seq <= upto`; `after` 0 = everything."""

    customer_id: int
    payer_id: int
    after: int
    upto: int
    currency: str
    time_zone: str


class Counts(NamedTuple):
    """How many rows of a kind are looked at."""

    events: int
    charges: int
    transfers: int


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

    @cached_property
    def counted(self) -> Counts:
        """How many events, charges and transfers are looked at."""
        return Counts(*self.rows(COUNTS)[0])

    @cached_property
    def usage(self) -> UsageProof:
        """What reading every event and charge that is looked at came to; read once for all links."""
        return prove_usage(self.raw, self.spans, self.params)
