"""Charges <-> counters and states: what was charged for a component is F of what its counters hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

from billing.reconciliation.comparing import add_up
from billing.reconciliation.link import Checked, Finding, Link, Scope, SumKey
from core.ids import public_id
from core.jsonio import decode_json
from core.numbers import CONTEXT, ZERO
from pricing.rating.component import Component, read_component
from pricing.rating.state import State

NAME: Final = "counters"
AMOUNT: Final = "counter_amount"
TOTAL_ROW: Final = "counter_total"
STATE: Final = "counter_state"
TOTAL: Final = "*"
LINES: Final = """
    SELECT span.customer_id, span.payer_id, (line->>'segment') || '/' || (line->>'component_id'),
           sum((line->>'amount')::numeric), count(*)
    FROM span
    JOIN billing_charge c ON c.customer_id = span.customer_id AND c.billing_entity_id = span.payer_id
        AND c.seq > span.after
    CROSS JOIN LATERAL jsonb_array_elements(c.lines) AS line
    GROUP BY 1, 2, 3"""
COUNTERS: Final = """
    SELECT s.customer_id, s.billing_entity_id, c.segment_id, c.component_id, c.dimensions, c.quantity,
           c.transactions, c.volume, c.amount
    FROM span
    JOIN pricing_subscription s ON s.customer_id = span.customer_id AND s.billing_entity_id = span.payer_id
    JOIN pricing_segment g ON g.subscription_id = s.id
    JOIN pricing_counter c ON c.customer_id = g.customer_id AND c.segment_id = g.id"""
CLOSED: Final = """
    SELECT s.customer_id, s.billing_entity_id, g.id, c.id, coalesce(sum(l.amount), 0)
    FROM span
    JOIN pricing_subscription s ON s.customer_id = span.customer_id AND s.billing_entity_id = span.payer_id
    JOIN pricing_segment g ON g.subscription_id = s.id
    JOIN pricing_component c ON c.version_id = g.version_id
    JOIN metering_meter m ON m.id = c.meter_id AND m.aggregation IN ('count', 'sum', 'max', 'unique')
    LEFT JOIN billing_closingline l ON l.segment_id = g.id AND l.component_id = c.id
    WHERE g.closed_at IS NOT NULL GROUP BY 1, 2, 3, 4"""
COMPONENTS: Final = """
    SELECT c.id, c.definition::text, m.aggregation, c.key
    FROM pricing_component c JOIN metering_meter m ON m.id = c.meter_id
    WHERE c.id = ANY(%(components)s::bigint[])"""
Place = tuple[int, int, int, int]
"""(customer, payer, segment, component)"""


def check(scope: Scope) -> Checked:
    """Every component in every segment of every payer.

    In a closed segment, what the close added counts with the charges, and makes at most the minimum of them.
    """
    sums, rows = add_up(scope.proven.get(NAME, {}), scope.rows(LINES))
    charged = {_place(key): amount for key, amount in sums.items()}
    states: dict[Place, dict[str, State]] = defaultdict(dict)
    for customer_id, payer_id, segment, component_id, dimensions, *state in scope.rows(COUNTERS):
        states[customer_id, payer_id, segment, component_id][dimensions] = State(*state)
    closed = {(row[0], row[1], row[2], row[3]): row[4] for row in scope.rows(CLOSED)}
    places = sorted(charged.keys() | states.keys() | closed.keys())
    components = _components(scope, {place[3] for place in places})
    checked = Checked(rows, sums=sums)
    for place in places:
        if place[3] in components:
            component, key = components[place[3]]
            checked.findings += _differing(
                scope,
                place,
                (component, key),
                states.get(place, {}),
                charged.get(place, ZERO),
                closed.get(place),
            )
    checked.findings += scope.usage.states(states, {span.payer_id: span.currency for span in scope.spans})
    return checked


def _place(key: SumKey) -> Place:
    segment, component = key[2].split("/")
    return (key[0], key[1], int(segment), int(component))


def _components(scope: Scope, ids: set[int]) -> dict[int, tuple[Component, str]]:
    return {
        pk: (read_component(decode_json(text.encode()), aggregation="max" if kind == "max" else "sum"), key)
        for pk, text, kind, key in scope.rows(COMPONENTS, components=sorted(ids))
    }


def _differing(
    scope: Scope,
    place: Place,
    priced: tuple[Component, str],
    counters: Mapping[str, State],
    charged: Decimal,
    added: Decimal | None,
) -> Iterator[Finding]:
    """Where charges (and what the close `added`) are not F of the counters; and a wrong total row."""
    component, key = priced
    groups = [state for dimensions, state in counters.items() if dimensions != TOTAL]
    subtotal = component.subtotal(groups)
    if TOTAL in counters and counters[TOTAL].amount != subtotal:
        yield _finding(scope, TOTAL_ROW, place, key, subtotal, counters[TOTAL].amount, {})
    if added is None:
        expected, actual = charged, component.total(subtotal)
        if expected != actual:
            yield _finding(scope, AMOUNT, place, key, expected, actual, _shown(counters))
        return
    usage, booked = component.close(groups, ZERO), CONTEXT.add(charged, added)
    if booked != usage and not usage < booked <= component.modifiers.minimum:
        yield _finding(scope, AMOUNT, place, key, booked, usage, _shown(counters))


def _shown(counters: Mapping[str, State]) -> dict[str, Any]:
    return {"counters": {name: state.as_dict() for name, state in list(counters.items())[:20]}}


def _finding(
    scope: Scope,
    kind: str,
    place: Place,
    key: str,
    expected: Decimal,
    actual: Decimal,
    detail: dict[str, Any],
) -> Finding:
    customer_id, payer_id, segment, component_id = place
    return Finding(
        kind,
        f"component {key} ({component_id}) in segment {public_id('seg', segment)}",
        scope.currency(payer_id),
        expected,
        actual,
        customer_id,
        payer_id,
        cause="A counter, or a charge that it was made of, was changed.",
        detail=detail
        | {"segment": public_id("seg", segment), "component": key, "component_id": component_id},
    )


LINK: Final = Link(
    NAME,
    "charges",
    "counters and states",
    {
        AMOUNT: "What was charged for a component is not F of its counters.",
        TOTAL_ROW: "The total beside a component's groups is not their sum.",
        STATE: "A counter is not what the payer's charges fold to.",
    },
    check,
)
