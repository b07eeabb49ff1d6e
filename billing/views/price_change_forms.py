"""What staff fill in for a price change: whom it moves and when, and what is typed before it goes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from django import forms

from accounts.scoping import Viewer, visible
from billing.rollouts import Cohort
from billing.views.cohort_fields import CohortFields, midnight_utc
from billing.views.customer_filters import DATE
from billing.views.money_forms import amount_field
from core.ids import row_id
from pricing.models import PlanVersion, Rollout
from pricing.plan_rows import with_labels

TIMINGS: Final = [
    (Rollout.Timing.AT_RENEWAL, "Each at its next renewal from that date on"),
    (Rollout.Timing.ON_DATE, "All on that date"),
    (Rollout.Timing.IMMEDIATELY, "All at once, with the announcement"),
]


class CohortForm(CohortFields):
    """Whom a price change moves, and when. Dates begin at midnight UTC."""

    field_order = ("name", "from_versions", "customers")

    name = forms.CharField(max_length=200, required=False, help_text="What staff call it.")
    from_versions = forms.MultipleChoiceField(
        label="Who is on",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None ticked: every other version of the same plan.",
    )
    min_revenue = amount_field(
        label="Brought in at least",
        required=False,
        help_text="In the last 30 days, in the plan's currency.",
    )
    max_revenue = amount_field(label="Brought in at most", required=False)
    timing = forms.ChoiceField(label="When", choices=TIMINGS, widget=forms.RadioSelect)
    effective_on = forms.DateField(
        label="From", required=False, widget=DATE, help_text="Empty: when 30 days of notice are over."
    )
    notice_on = forms.DateField(
        label="Customers are told on", required=False, widget=DATE, help_text="Empty: with the announcement."
    )

    def __init__(self, data: Any, viewer: Viewer, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__(data, viewer, initial={"timing": Rollout.Timing.AT_RENEWAL})
        self.fields["from_versions"].choices = choices  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """A date has no meaning beside `immediately`."""
        values: dict[str, Any] = super().clean() or {}
        if values.get("timing") == Rollout.Timing.IMMEDIATELY and values.get("effective_on"):
            self.add_error("effective_on", "At once means with the announcement: leave the date empty.")
        return values

    def cohort(self) -> Cohort:
        """The cohort of a valid form."""
        values = self.cleaned_data
        return Cohort(
            from_versions=[row_id("pv", reference) for reference in values["from_versions"]],
            customers=values["customers"],
            min_revenue=values["min_revenue"],
            max_revenue=values["max_revenue"],
        )

    def terms(self) -> dict[str, Any]:
        """Name and dates of a valid form, as `draft_rollout` takes them."""
        values = self.cleaned_data
        return {
            "name": values["name"],
            "timing": values["timing"],
            "effective_at": midnight_utc(values["effective_on"]),
            "notice_at": midnight_utc(values["notice_on"]),
        }


class ReasonForm(forms.Form):
    """A reason, where one must be given."""

    reason = forms.CharField(max_length=1000, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, data: Any = None, *, is_required: bool = True, help_text: str = "") -> None:
        super().__init__(data)
        self.fields["reason"].required = is_required
        self.fields["reason"].help_text = help_text


class HoldOutForm(forms.Form):
    """Until when a subscription stays where it is."""

    until = forms.DateField(required=False, widget=DATE, help_text="Empty: for ever.")


class LimitsForm(forms.Form):
    """Accepting a price change: for each meter that begins to cost, a limit or none."""

    def __init__(
        self,
        data: Any,
        meters: Sequence[tuple[str, str, Decimal | None]],
        limits: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(data, initial={f"limit-{key}": limit for key, limit in (limits or {}).items()})
        self._meters = meters
        for key, label, ceiling in meters:
            until_now = "" if ceiling is None else f"Until now {ceiling:f}. "
            self.fields[f"limit-{key}"] = amount_field(
                label=f"Limit on {label}",
                required=False,
                min_value=Decimal(0),
                max_value=Decimal(10) ** 20,
                help_text=f"Each period. {until_now}Calls beyond it are refused; empty: no limit.",
            )

    def limits(self) -> dict[str, Decimal]:
        """The limits of a valid form, by meter."""
        named = {key: self.cleaned_data[f"limit-{key}"] for key, _, _ in self._meters}
        return {key: limit for key, limit in named.items() if limit is not None}


def version_choices(viewer: Viewer, version: PlanVersion, counts: dict[int, int]) -> list[tuple[str, str]]:
    """The other published versions of the currency on which somebody is, those of the same plan first."""
    others = visible(PlanVersion, viewer).filter(plan__currency=version.plan.currency, pk__in=counts)
    rows = with_labels(others.exclude(pk=version.pk).defer("content"))
    rows.sort(key=lambda pair: (pair[0].plan_id != version.plan_id, pair[0].plan.name, -pair[0].number))
    return [(one.public_id, f"{one.plan.name} {label}: {_counted(counts[one.pk])}") for one, label in rows]


def _counted(number: int) -> str:
    return f"{number} subscription{'' if number == 1 else 's'}"
