"""What forms that ask for a cohort share: the customers, named on lines, and days as instants."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from django import forms

from accounts.models import Customer
from accounts.scoping import Viewer, visible
from core.api.references import find_referenced
from core.errors import NotFound


class CohortFields(forms.Form):
    """Only these customers, or all. A form of a cohort begins with it and says where the field stands."""

    customers = forms.CharField(
        label="Only these customers",
        required=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="One id of yours or ours on a line; empty: all of them.",
    )

    def __init__(self, data: Any, viewer: Viewer, **more: Any) -> None:
        super().__init__(data, **more)
        self._viewer = viewer

    def clean_customers(self) -> list[int]:
        """The ids of the rows that the lines name."""
        found = []
        for line in str(self.cleaned_data["customers"]).split():
            try:
                found.append(find_referenced(visible(Customer, self._viewer), "cus", line).pk)
            except NotFound as error:
                raise forms.ValidationError(error.message) from error
        return found


def midnight_utc(day: date | None) -> datetime | None:
    """The instant at which a day begins."""
    return None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)
