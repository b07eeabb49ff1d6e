"""A payer's charges, rated again in `seq` order, and the counters that they fold to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from billing.recompute import ChargedEvent, Fold, Priced, Rerated
from billing.reconciliation.finding import EVENTS, FINDINGS_MAX, QUANTITY, Finding
from billing.reconciliation.histories import History, StoredCharge
from core.errors import TollgateError
from core.ids import hot_id, public_id
from core.numbers import ZERO, round_amount
from pricing.rating.state import EMPTY, State

TOTAL: Final = "*"
Place = tuple[int, int, str]
"""(segment, component, dimensions)"""


@dataclass(slots=True)
class PayerFold:
    """One payer's charges as they come, and what of them is not what it comes to.

    What follows from a difference (later positions, the counter) is not told again: its place is `tainted`.
    """

    payer: tuple[int, int]
    currency: str
    components: Mapping[int, Priced]
    findings: list[Finding] = field(default_factory=list)
    tainted: set[Place] = field(default_factory=set)
    is_broken: bool = False
    history: History | None = None
    _fold: Fold | None = None
    _states: dict[Place, State] = field(default_factory=dict)

    def take(self, charge: StoredCharge) -> None:
        """Rate the next charge again."""
        if self.is_broken:
            return
        if self._fold is None:
            self._fold = Fold(self.components)
        if charge.properties is None:  # its event is gone, which the link of events and charges tells
            self.is_broken = True
            return
        stored = ChargedEvent(charge.lines, charge.properties, charge.cost, charge.uuid.hex)
        try:
            again = self._fold.rate(stored)
        except (TollgateError, LookupError, ValueError, ArithmeticError) as error:
            self.is_broken = True
            self._find("charge_unprovable", charge, None, f"Rating it again failed: {error}")
            return
        if again.amount != charge.amount or again.lines != charge.lines:
            self._differ(charge, again)
        if self.history is not None:
            self.history.take(self.payer[1], charge, charge.properties)

    def finish(self) -> None:
        """Keep the states alone."""
        if self._fold is not None:
            self._states, self._fold = self._fold.states, None

    def compare(self, counters: Mapping[Place, State], currency: str) -> Iterator[Finding]:
        """The payer's counters against the states that its charges make."""
        if self.is_broken:
            return
        for place in sorted(counters.keys() | self._states.keys()):
            expected, actual = self._states.get(place, EMPTY), counters.get(place, EMPTY)
            if place[2] == TOTAL or place in self.tainted or expected == actual:
                continue
            yield self._state(place, expected, actual, currency)

    def _state(self, place: Place, expected: State, actual: State, currency: str) -> Finding:
        segment, component_id, dimensions = place
        sides = (round_amount(expected.amount), round_amount(actual.amount), currency)
        if sides[0] == sides[1]:
            sides = (expected.quantity, actual.quantity, QUANTITY)
        if sides[0] == sides[1]:
            sides = (Decimal(expected.transactions), Decimal(actual.transactions), EVENTS)
        key = self.components[component_id].component.key
        return Finding(
            "counter_state",
            f"counter {key} ({component_id}) {dimensions} in segment {public_id('seg', segment)}"[:300],
            sides[2],
            sides[0],
            sides[1],
            *self.payer,
            cause="The counter was changed beside the charges.",
            detail={"expected": expected.as_dict(), "actual": actual.as_dict(), "dimensions": dimensions},
        )

    def _differ(self, charge: StoredCharge, again: Rerated) -> None:
        places = [(line["segment"], line["component_id"], line["dimensions"]) for line in again.lines]
        pairs = list(zip(places, charge.lines, again.lines, strict=True))
        own = [
            place
            for place, stored, rated in pairs
            if (place not in self.tainted and stored != rated) or stored["quantity"] != rated["quantity"]
        ]
        is_told = again.amount == charge.amount and not own
        self.tainted |= {place for place, stored, rated in pairs if stored != rated}
        if is_told:
            return
        kind = "charge_lines" if again.amount == charge.amount else "charge_amount"
        cause = (
            "The event, the charge or its lines were changed."
            if own
            else "An earlier event or charge of the same component was changed."
        )
        self._find(kind, charge, again, cause)

    def _find(self, kind: str, charge: StoredCharge, again: Rerated | None, cause: str) -> None:
        if len(self.findings) >= FINDINGS_MAX:
            return
        name = hot_id("ch", self.payer[0], charge.uuid)
        self.findings.append(
            Finding(
                kind,
                f"charge {name}",
                self.currency,
                charge.amount if again is None else again.amount,
                charge.amount,
                *self.payer,
                amount=ZERO if again is None else None,
                cause=cause,
                detail={
                    "charge": name,
                    "number": charge.seq,
                    "stored": charge.lines,
                    "rated_again": [] if again is None else again.lines,
                },
            )
        )
