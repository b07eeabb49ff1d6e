"""What a check says: the things on which two sides disagree, and the sums that held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from core.numbers import CONTEXT, ZERO

EVENTS: Final = "events"
NUMBERS: Final = "numbers"
QUANTITY: Final = "quantity"
ROWS: Final = "rows"
"""Units of what is no money."""

FINDINGS_MAX: Final = 100
"""Of one payer and kind: what follows from one corruption may be everything after it."""

SumKey = tuple[int, int, str]
"""(customer, payer, name of the sum within its link)"""


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
