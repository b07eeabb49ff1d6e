"""What a link is: two sides that must agree, and a check that names what of a batch of payers does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from billing.reconciliation.finding import (
    EVENTS,
    NUMBERS,
    QUANTITY,
    ROWS,
    Checked,
    Finding,
    SumKey,
)
from billing.reconciliation.scope import Scope, Span

__all__ = [
    "EVENTS",
    "NUMBERS",
    "QUANTITY",
    "ROWS",
    "Checked",
    "Finding",
    "Link",
    "Scope",
    "Span",
    "SumKey",
]


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
