"""What a chart says: its labels, series and unit, drawn in the browser and read as a table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from babel import Locale

from core.display.numbers import DASH, Unit, currency_code, money_text, percent_text, quantity_text

Kind = Literal["bar", "line"]
Measure = Literal["money", "quantity", "ratio"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One row of figures. `colour` is 1 to 6 of the palette; `is_faint` marks a period compared with."""

    label: str
    values: Sequence[Decimal | None]
    colour: int = 1
    kind: Kind | None = None
    is_faint: bool = False


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A chart of one measure. `unit` is a currency or the noun of a quantity.

    Labels are categories that the server has formatted (a browser does not know the payer's time
    zone). From the index `open_from` on, buckets are still filling and are drawn lighter.
    """

    key: str
    title: str
    labels: Sequence[str]
    series: Sequence[Series]
    measure: Measure = "money"
    unit: str | Unit = ""
    kind: Kind = "bar"
    is_stacked: bool = False
    open_from: int | None = None
    note: str = ""
    category: str = "Day"

    def text(self, value: Decimal | None, locale: Locale) -> str:
        """A figure as the tooltip and the table show it."""
        if value is None:
            return DASH
        if self.measure == "money":
            return f"{currency_code(self.unit)} {money_text(value, self.unit, locale)}"
        if self.measure == "ratio":
            return percent_text(value, locale)
        return f"{quantity_text(value, locale)} {self.unit}".rstrip()

    def payload(self, locale: Locale) -> dict[str, Any]:
        """What the script draws; figures go as strings, beside the text that is shown for them."""
        return {
            "kind": self.kind,
            "measure": self.measure,
            "stacked": self.is_stacked,
            "openFrom": self.open_from,
            "labels": list(self.labels),
            "series": [
                {
                    "label": series.label,
                    "colour": series.colour,
                    "kind": series.kind,
                    "faint": series.is_faint,
                    "values": [None if value is None else format(value, "f") for value in series.values],
                    "texts": [self.text(value, locale) for value in series.values],
                }
                for series in self.series
            ],
        }

    def rows(self, locale: Locale) -> list[tuple[str, list[str]]]:
        """The same figures as a table: a label and the text of each series."""
        return [
            (label, [self.text(series.values[index], locale) for series in self.series])
            for index, label in enumerate(self.labels)
        ]

    @property
    def summary(self) -> str:
        """What a screen reader says of the drawing; the table has the figures."""
        names = ", ".join(series.label for series in self.series)
        span = f" from {self.labels[0]} to {self.labels[-1]}" if self.labels else ""
        return f"{self.title}: {names}{span}. The figures are in the table below the chart."

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for series in self.series for value in series.values)
