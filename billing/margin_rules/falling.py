"""How far a margin fell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from billing.margins import Margin
from billing.reports.comparing import Comparison
from billing.reports.operator import convert
from core.numbers import CONTEXT

HUNDRED: Final = Decimal(100)


@dataclass(frozen=True, slots=True)
class Course:
    """The margins of a subject in the days before, and in the last ones; None: not comparable."""

    before: Margin | None
    now: Margin | None

    @property
    def fall(self) -> Decimal | None:
        """By how many percentage points the rate fell (negative: rose); None where one is not known."""
        if self.before is None or self.now is None:
            return None
        then, now = self.before.margin_rate, self.now.margin_rate
        if then is None or now is None or self.before.revenue < 0 or self.now.revenue < 0:
            return None
        return CONTEXT.multiply(CONTEXT.subtract(then, now), HUNDRED)


def in_one_currency(
    margins: Iterable[tuple[str, Margin]], comparison: Comparison, at: datetime
) -> Margin | None:
    """The sum of (currency, margin) in the currency of comparison; None as soon as an exchange rate lacks."""
    total = Margin()
    for currency, margin in margins:
        converted = convert(margin, currency, comparison, at)
        if converted is None:
            return None
        total += converted
    return total


def courses(sums: Mapping[tuple[str, bool], Margin | None]) -> dict[str, Course]:
    """By subject, from its margins (subject, whether of the last days)."""
    nothing = Margin()
    subjects = {subject for subject, _ in sums}
    return {
        subject: Course(sums.get((subject, False), nothing), sums.get((subject, True), nothing))
        for subject in sorted(subjects)
    }
