"""SQL of closes: what late usage of a closed period cost the operator, not the payer."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import psycopg

from billing.ledger import PayerId
from core.sql import execute, number_array

ABSORBED: Final = """
    SELECT part->>'component', (part->>'segment')::bigint, sum((part->>'amount')::numeric)
    FROM billing_charge c, jsonb_array_elements(c.funding) AS part
    WHERE c.customer_id = %s AND c.billing_entity_id = %s AND c.recorded_at >= %s
        AND part->>'account' = 'leakage' AND (part->>'segment')::bigint = ANY(%s::bigint[])
    GROUP BY 1, 2"""


def absorbed_by_charges(
    raw: psycopg.Connection[Any], payer: PayerId, segment_ids: Iterable[int], since: datetime
) -> dict[tuple[str, int], Decimal]:
    """What leakage bore of charges in these segments, closed at `since`, by component key and segment."""
    rows = execute(raw, ABSORBED, (*payer, since, number_array(segment_ids)))
    return {(key, segment_id): amount for key, segment_id, amount in rows}
