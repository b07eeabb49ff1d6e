"""The payers of a simulation: who pays more, who less, and how the differences are spread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django import forms
from django.db.models import F, QuerySet, Value
from django.db.models.functions import Abs
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import BillingEntity, Currency
from accounts.scoping import Viewer, visible
from billing.views.listings import DescribedListing
from billing.views.money_forms import amount_field
from core.display.charts import Chart, Series
from core.display.html import percent_html
from core.display.statuses import Tone, status_html
from core.fields import AmountField
from core.numbers import CONTEXT
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import ANY
from core.pages.columns import Reader
from pricing.models import Simulation, SimulationRow
from pricing.simulation.outcomes import HUNDRED, Outcome, outcome_of

NAMES: Final = ("Least", *(f"{number}0%" for number in range(1, 10)), "Most")


@dataclass(frozen=True, slots=True)
class PayerRow:
    """A row of the result with the names that go with it."""

    row: SimulationRow
    payer: BillingEntity | None
    unit: str | Currency

    @property
    def name(self) -> str:
        """The payer's."""
        return "" if self.payer is None else self.payer.name

    @property
    def customer(self) -> str:
        """The customer's name."""
        return "" if self.payer is None else self.payer.customer.name

    @property
    def growth(self) -> Decimal | None:
        """The difference as a part of what it pays now; None when that is nothing."""
        if not self.row.current:
            return None
        return CONTEXT.divide(self.row.difference, self.row.current.copy_abs())

    @property
    def margin(self) -> Decimal | None:
        """What is left of the simulated bill after the known cost; None when no cost is known."""
        return None if self.row.cost is None else CONTEXT.subtract(self.row.simulated, self.row.cost)

    @property
    def outcome(self) -> str:
        """winner, loser or unchanged."""
        return outcome_of(self.row.difference).value


def growth_cell(found: PayerRow, reader: Reader) -> str:
    """The growth of the bill."""
    return percent_html(found.growth, reader.locale)


OUTCOMES: Final[Mapping[str, tuple[str, Tone]]] = {
    Outcome.LOSER.value: ("Pays more", "warn"),
    Outcome.WINNER.value: ("Pays less", "good"),
    Outcome.UNCHANGED.value: ("Pays the same", "neutral"),
}
"""Outcome -> its words and tone."""


def outcome_cell(found: PayerRow, reader: Reader) -> str:
    """Whether it would pay more or less."""
    words, tone = OUTCOMES[found.outcome]
    return status_html(found.outcome, words, tone)


ROWS: Final = DescribedListing(
    key="payers",
    title="Payers",
    columns=(
        columns.text("customer", "Customer", sort=None, sub="name"),
        custom_column("outcome", "Outcome", outcome_cell, csv=lambda found: found.outcome),
        columns.money("row.current", "Pays now", currency="unit", sort="current"),
        columns.money("row.simulated", "Would pay", currency="unit", sort="simulated"),
        columns.money("row.difference", "Difference", currency="unit", sort="difference"),
        custom_column("growth", "Change", growth_cell, is_numeric=True, csv=lambda found: found.growth),
        columns.money("row.cost", "Cost", currency="unit", sort="cost", hint="Of what was used, where known"),
        columns.money("margin", "Margin", currency="unit", sort=None),
        columns.quantity("row.events", "Events", sort="events").extra(),
        columns.quantity("row.unpriced", "Unpriced events", sort="unpriced").extra(),
    ),
    default_sort="-row_difference",
    keeps=("of",),
    row_url=lambda found: reverse("customer", args=[found.payer.customer.public_id]) if found.payer else "",
    empty_title="Nobody used anything",
    empty_text="No payer of this cohort had a subscription in these days.",
)


class RowsForm(forms.Form):
    """Which payers."""

    outcome = forms.ChoiceField(
        required=False,
        choices=[ANY, *((word, words) for word, (words, _) in OUTCOMES.items())],
    )
    grows_by = amount_field(
        label="Grows by more than %", required=False, min_value=Decimal(0), max_value=Decimal(10) ** 9
    )


class RowsFilter:
    """The rows that fit; what makes no sense narrows nothing."""

    def __init__(
        self, data: Mapping[str, Any], queryset: QuerySet[SimulationRow], request: HttpRequest
    ) -> None:
        self.form = RowsForm(data, use_required_attribute=False)
        self._rows = queryset

    @property
    def qs(self) -> QuerySet[SimulationRow]:
        """The rows."""
        self.form.is_valid()
        rows, wanted = self._rows, self.form.cleaned_data
        sides = {Outcome.WINNER.value: "difference__lt", Outcome.LOSER.value: "difference__gt"}
        if wanted.get("outcome"):
            rows = rows.filter(**{sides.get(wanted["outcome"], "difference"): 0})
        if wanted.get("grows_by") is not None:
            part = Value(CONTEXT.divide(wanted["grows_by"], HUNDRED), output_field=AmountField())
            rows = rows.filter(difference__gt=0).filter(difference__gt=Abs(F("current")) * part)
        return rows


def rows_of(viewer: Viewer, simulation: Simulation, number: int) -> QuerySet[SimulationRow]:
    """The rows of one of its versions."""
    return visible(SimulationRow, viewer).filter(simulation=simulation, version=number)


def rows_listing(viewer: Viewer, simulation: Simulation, unit: str | Currency) -> DescribedListing:
    """The list of payers of a simulation, whose rows come with names."""
    return replace(
        ROWS,
        key=f"payers-{simulation.public_id}",
        filters=RowsFilter,
        describe=partial(_with_payers, viewer=viewer, unit=unit),
    )


def spread_chart(totals: Mapping[str, Any], unit: str | Currency) -> Chart:
    """How the differences are spread: the smallest, the nine deciles, the largest."""
    values = [Decimal(value) for value in totals["deciles"]]
    less = [value if value < 0 else None for value in values]
    more = [value if value >= 0 else None for value in values]
    series = [
        Series(label="Pays more", values=more, colour=2),
        Series(label="Pays less", values=less, colour=3),
    ]
    return Chart(
        key="spread",
        title="Difference per payer, from the one who gains most to the one who pays most more",
        labels=NAMES[: len(values)],
        series=[one for one in series if any(value is not None for value in one.values)] or series[:1],
        unit=unit,
        is_stacked=True,
        category="Payer at",
    )


def _with_payers(rows: list[SimulationRow], viewer: Viewer, unit: str | Currency) -> list[PayerRow]:
    payers = visible(BillingEntity, viewer).select_related("customer")
    found = payers.in_bulk({row.billing_entity_id for row in rows})
    return [PayerRow(row, found.get(row.billing_entity_id), unit) for row in rows]
