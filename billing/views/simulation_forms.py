"""What staff fill in for a simulation: which versions, over which usage, of whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from dateutil.relativedelta import relativedelta
from django import forms

from accounts.scoping import Viewer, visible
from billing.simulations.asking import GROWS_BY
from billing.views.cohort_fields import CohortFields, midnight_utc
from billing.views.customer_filters import DATE
from billing.views.money_forms import amount_field
from core.ids import row_id
from core.pages.choices import ANY
from pricing.models import Plan, PlanVersion
from pricing.plan_rows import with_labels
from pricing.simulation import Cohort


class SimulationForm(CohortFields):
    """Which versions over which usage. Days begin at midnight UTC."""

    field_order = ("versions", "start", "end", "plan", "customers")

    versions = forms.MultipleChoiceField(
        widget=forms.CheckboxSelectMultiple, help_text="Drafts too; up to ten side by side."
    )
    start = forms.DateField(label="Usage from", widget=DATE)
    end = forms.DateField(label="To, included", widget=DATE)
    plan = forms.ChoiceField(label="Customers on", required=False)
    grows_by = amount_field(
        label="Point out who pays more by",
        min_value=Decimal(0),
        help_text="Per cent of what it pays now.",
    )

    def __init__(self, data: Any, viewer: Viewer, initial: Mapping[str, Any]) -> None:
        super().__init__(data, viewer, initial=dict(initial))
        versions = visible(PlanVersion, viewer).defer("content").order_by("plan__name", "base_id", "-number")
        self.fields["versions"].choices = [  # type: ignore[attr-defined]
            (one.public_id, f"{one.plan.name} {label} ({one.plan.currency}), {one.status}")
            for one, label in with_labels(versions)
        ]
        plans = Plan.objects.order_by("name", "key")
        self.fields["plan"].choices = [ANY, *((one.public_id, one.name) for one in plans)]  # type: ignore[attr-defined]

    def question(self) -> dict[str, Any]:
        """What a valid form asks, as `request_simulation` takes it."""
        values = self.cleaned_data
        plan = values["plan"]
        return {
            "starts_at": midnight_utc(values["start"]),
            "ends_at": midnight_utc(values["end"] + timedelta(days=1)),
            "grows_by": values["grows_by"],
            "cohort": Cohort(
                customer_ids=tuple(values["customers"]), plan_id=row_id("plan", plan) if plan else None
            ),
        }


def first_values(query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    """What an empty form begins with: the last three whole months, and what the address names.

    A version that is named brings the customers of its own plan.
    """
    this_month = now.date().replace(day=1)
    named = query.get("version", "")
    plan = Plan.objects.filter(versions=row_id("pv", named)).first() if named else None
    return {
        "versions": [named] if plan else [],
        "plan": plan.public_id if plan else "",
        "customers": query.get("customers", "").replace(",", "\n"),
        "start": this_month - relativedelta(months=3),
        "end": this_month - timedelta(days=1),
        "grows_by": f"{GROWS_BY:f}",
    }
