"""Which payers a step looks at, and from which of their numbers on."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import psycopg

from billing.models import Discrepancy, ReconciliationRun
from billing.reconciliation.finding import SumKey
from billing.reconciliation.scope import Span
from billing.store_reconciliation import NO_SPANS, fetch

CUSTOMERS_AT_ONCE: Final = 200
NUMBERS_AT_ONCE: Final = 5_000
"""So many running numbers in one snapshot, unless a single customer has more."""
WHOLE_MAX: Final = 1_000
"""A payer that moved and has had no more numbers than these is looked at as a whole: rating it again and its
buckets included."""
NEXT: Final = """
    SELECT c.id FROM accounts_customer c
    WHERE c.id > %(after_customer)s AND (%(only)s::bigint IS NULL OR c.id = %(only)s)
    ORDER BY c.id LIMIT %(limit)s"""
# A payer without a wallet row has nothing, or its row is gone: then its numbers are beyond.
SPANS: Final = """
    SELECT b.customer_id, b.id, coalesce(p.seq, 0), coalesce(a.seq, 0), b.currency, b.time_zone
    FROM accounts_billingentity b
    LEFT JOIN billing_ledgeraccount a
        ON a.customer_id = b.customer_id AND a.billing_entity_id = b.id AND a.kind = 'wallet'
    LEFT JOIN billing_payercheckpoint p ON p.customer_id = b.customer_id AND p.billing_entity_id = b.id
    WHERE %(ids)s::bigint[] IS NULL OR b.customer_id = ANY(%(ids)s::bigint[])
    ORDER BY b.customer_id, b.id"""
PROVEN: Final = """
    SELECT s.link, s.customer_id, s.billing_entity_id, s.key, s.amount
    FROM unnest(%(c)s::bigint[], %(p)s::bigint[]) AS t(c, p)
    JOIN billing_provensum s ON s.customer_id = t.c AND s.billing_entity_id = t.p"""


def spans_of(raw: psycopg.Connection[Any], customer_ids: Sequence[int] | None = None) -> list[Span]:
    """The payers of these customers (None: of all), from their checkpoints on."""
    ids = None if customer_ids is None else list(customer_ids)
    return [Span(*row) for row in fetch(raw, SPANS, NO_SPANS | {"ids": ids})]


def whole(spans: Iterable[Span]) -> list[Span]:
    """The same, from their first numbers on."""
    return [span._replace(after=0) for span in spans]


def next_batch(raw: psycopg.Connection[Any], run: ReconciliationRun) -> tuple[list[int], list[Span]]:
    """The next customers of a run, and their payers; no customers at its end."""
    params = {
        "after_customer": run.last_customer_id,
        "only": run.only_customer_id,
        "limit": CUSTOMERS_AT_ONCE,
    }
    customer_ids = [row[0] for row in fetch(raw, NEXT, NO_SPANS | params)]
    if not customer_ids:
        return [], []
    spans = spans_of(raw, customer_ids)
    spans = whole(spans) if run.kind == ReconciliationRun.Kind.FULL else _from_checkpoints(spans)
    return _cut(customer_ids, spans)


def _from_checkpoints(spans: Sequence[Span]) -> list[Span]:
    """A customer with a discrepancy is looked at as a whole until there is none."""
    customers = {span.customer_id for span in spans}
    standing = Discrepancy.objects.filter(customer_id__in=customers).exclude(
        status=Discrepancy.Status.RESOLVED
    )
    doubtful = set(standing.values_list("customer_id", flat=True))
    return [
        span._replace(after=begins_after(span.after, span.upto, is_doubtful=span.customer_id in doubtful))
        for span in spans
    ]


def begins_after(proven: int, last: int, *, is_doubtful: bool) -> int:
    """After which number an incremental run looks at a payer that is `proven` up to one and has had `last`.

    0: at everything. So it is where something of the customer disagrees, where numbers are fewer than were
    proven, and where a payer moved that has had few. Pure.
    """
    has_moved = last > proven
    return 0 if is_doubtful or last < proven or (has_moved and last <= WHOLE_MAX) else proven


def _cut(customer_ids: Sequence[int], spans: Sequence[Span]) -> tuple[list[int], list[Span]]:
    """As many of the customers as fit into a snapshot, one at least."""
    numbers: dict[int, int] = defaultdict(int)
    for span in spans:
        numbers[span.customer_id] += span.upto - span.after
    taken: list[int] = []
    total = 0
    for customer_id in customer_ids:
        total += numbers[customer_id]
        if taken and total > NUMBERS_AT_ONCE:
            break
        taken.append(customer_id)
    chosen = set(taken)
    return taken, [span for span in spans if span.customer_id in chosen]


def proven_sums(
    raw: psycopg.Connection[Any], spans: Iterable[Span]
) -> Mapping[str, Mapping[SumKey, Decimal]]:
    """What is known of the payers that are looked at from a checkpoint on, by link."""
    known = [span for span in spans if span.after]
    columns = {"c": [span.customer_id for span in known], "p": [span.payer_id for span in known]}
    found: dict[str, dict[SumKey, Decimal]] = defaultdict(dict)
    for link, customer_id, payer_id, key, amount in fetch(raw, PROVEN, NO_SPANS | columns):
        found[link][customer_id, payer_id, key] = amount
    return found
