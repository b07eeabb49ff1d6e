"""The counters of a component are written anew: what the payer's charges fold to."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from billing.reconciliation.repairs.action import Action, Work
from core.errors import Conflict
from core.ids import row_id
from pricing.models import Component, Counter
from pricing.pricelist import compile_component
from pricing.rating.state import State

_STATE: Final = "counter_state"


def rebuild_counters(work: Work) -> None:
    """Set every counter of the component in the segment that differs, and the total beside its groups.

    Raises Conflict `charges_wrong` when the counters are what the charges fold to: then the charges are not
    what they should be.
    """
    customer_id, segment_id, component_id = _place(work.finding.subject, work.payer[0])
    own = {"customer_id": customer_id, "segment_id": segment_id, "component_id": component_id}
    groups = Counter.objects.filter(**own)
    states = {
        row.dimensions: State(row.quantity, row.transactions, row.volume, row.amount)
        for row in groups.exclude(dimensions=Counter.TOTAL)
    }
    for finding in work.findings:
        if finding.type != _STATE or _place(finding.subject, customer_id) != tuple(own.values()):
            continue
        dimensions, expected = str(finding.detail["dimensions"]), State.from_dict(finding.detail["expected"])
        _write(work, own | {"dimensions": dimensions}, expected)
        states[dimensions] = expected
    total = groups.filter(dimensions=Counter.TOTAL).first()
    if total is not None:
        component = Component.objects.select_related("meter").get(pk=component_id)
        subtotal = compile_component(component).rating.subtotal(states.values())
        if subtotal != total.amount:
            rows = groups.filter(dimensions=Counter.TOTAL)
            work.set(rows, _name(own | {"dimensions": Counter.TOTAL}), amount=subtotal)
    if not work.writes:
        says = "The counters are what the charges fold to: the charges themselves are to be looked at."
        raise Conflict("charges_wrong", says)


def _write(work: Work, own: dict[str, Any], expected: State) -> None:
    values: dict[str, Any] = {
        "quantity": expected.quantity,
        "transactions": expected.transactions,
        "volume": expected.volume,
        "amount": expected.amount,
    }
    rows = Counter.objects.filter(**own)
    found = rows.values(*values).first()
    if found is None:
        work.insert(Counter(**own, **values), _name(own), *values)
        return
    wrong = {name: value for name, value in values.items() if Decimal(found[name]) != Decimal(value)}
    work.set(rows, _name(own), **wrong)


def _place(subject: str, customer_id: int) -> tuple[int, int, int]:
    """(customer, segment, component) that a finding of this link is about."""
    before, _, segment = subject.rpartition(" in segment ")
    component = before[before.index("(") + 1 : before.index(")")]
    return customer_id, row_id("seg", segment), int(component)


def _name(own: dict[str, Any]) -> str:
    return f"component {own['component_id']} in segment {own['segment_id']} {own['dimensions']}"


ACTION: Final = Action(
    "rebuild_counters",
    "Write the counters anew from the charges",
    "The component's counters become what the payer's charges fold to, so that the next call is priced from"
    " the right position. No charge changes.",
    frozenset(("counters", kind) for kind in ("counter_amount", "counter_total", _STATE)),
    rebuild_counters,
)
