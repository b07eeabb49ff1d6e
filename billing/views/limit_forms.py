"""What people fill in to bound spend: whose, how much, in which window, and what happens at the limit."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from django import forms

from accounts.models import ApiKey, Organization, Workspace
from accounts.scoping import Viewer, visible
from billing.limits.verbs import HOURS_MAX, THRESHOLD_MAX, Owner, owner_of
from billing.models import SpendLimit
from billing.models.limits import default_thresholds
from billing.reports.customer import CustomerFrame
from billing.views.money_forms import amount_field
from metering.models import Meter

OFFERED_MAX: Final = 300
"""So many of each kind are offered; the API takes any."""
KINDS: Final = [
    (SpendLimit.Kind.HARD, "Refuse calls beyond it"),
    (SpendLimit.Kind.SOFT, "Only tell"),
]
WINDOWS: Final = [
    (SpendLimit.Window.BILLING_PERIOD, "Each billing period"),
    (SpendLimit.Window.DAY, "Each day"),
    (SpendLimit.Window.ROLLING, "Any so many hours"),
]
Choices = list[tuple[str, list[tuple[str, str]]]]


class LimitChangeForm(forms.Form):
    """What may change about a limit."""

    amount = amount_field(min_value=Decimal(0), label="At most")
    kind = forms.ChoiceField(choices=KINDS, widget=forms.RadioSelect, label="At the limit")
    thresholds = forms.CharField(
        required=False,
        max_length=200,
        label="Tell at",
        help_text="Per cent of it, with commas; each tells once in a window.",
    )

    def clean_thresholds(self) -> list[int]:
        """Numbers of the list; none when it is empty."""
        found = []
        for word in str(self.cleaned_data["thresholds"]).replace(",", " ").split():
            if not (word.isascii() and word.isdigit() and 1 <= int(word[:9]) <= THRESHOLD_MAX):
                raise forms.ValidationError(f"Whole numbers from 1 to {THRESHOLD_MAX}, with commas.")
            found.append(int(word))
        return sorted(set(found))


class LimitForm(LimitChangeForm):
    """A limit to be."""

    owner = forms.ChoiceField(label="Whose spend")
    meter = forms.ChoiceField(
        required=False, label="Only of", help_text="One meter, for a payer; or all that it spends."
    )
    window = forms.ChoiceField(choices=WINDOWS, initial=SpendLimit.Window.BILLING_PERIOD)
    hours = forms.IntegerField(
        required=False, min_value=1, max_value=HOURS_MAX, help_text="Only of a window of so many hours."
    )
    field_order = ("owner", "meter", "amount", "window", "hours", "kind", "thresholds")

    def __init__(self, data: Any, viewer: Viewer, frame: CustomerFrame) -> None:
        first = {"kind": SpendLimit.Kind.HARD, "thresholds": ", ".join(map(str, default_thresholds()))}
        super().__init__(data, initial=first)
        self._rows = _owners(viewer, frame)
        meters = Meter.objects.filter(aggregation__in=("count", "sum")).order_by("name", "key")
        self._meters = {meter.key: meter for meter in meters[:OFFERED_MAX]}
        self.fields["owner"].choices = _choices(self._rows)  # type: ignore[attr-defined]
        self.fields["meter"].choices = [  # type: ignore[attr-defined]
            ("", "All it spends"),
            *((key, meter.name) for key, meter in self._meters.items()),
        ]

    def chosen(self) -> Owner:
        """Whose spend a valid form bounds. Raises InvalidRequest for a meter beside no payer."""
        values = self.cleaned_data
        name, row = next(
            (name, row) for name, _, rows in self._rows for row in rows if row.public_id == values["owner"]
        )
        return owner_of(**{name: row}, meter=self._meters.get(values["meter"]))

    def terms(self) -> dict[str, Any]:
        """Window, hours, kind and thresholds of a valid form, as `create_limit` takes them."""
        return {name: self.cleaned_data[name] for name in ("window", "hours", "kind", "thresholds")}


def _owners(viewer: Viewer, frame: CustomerFrame) -> list[tuple[str, str, Sequence[Any]]]:
    """(name of the column, words, rows) of all that may have a limit, the widest first."""
    own = {"customer": frame.customer}
    organizations = visible(Organization, viewer).filter(**own).order_by("name", "pk")
    spaces = visible(Workspace, viewer).filter(**own).order_by("name", "pk")
    keys = visible(ApiKey, viewer).filter(**own, revoked_at=None).order_by("name", "pk")
    return [
        ("billing_entity", "Payers", frame.payers),
        ("organization", "Organizations", list(organizations[:OFFERED_MAX])),
        ("workspace", "Workspaces", list(spaces[:OFFERED_MAX])),
        ("api_key", "API keys", list(keys.select_related("workspace")[:OFFERED_MAX])),
    ]


def _choices(owners: Sequence[tuple[str, str, Sequence[Any]]]) -> Choices:
    return [
        (words, [(row.public_id, _label(name, row)) for row in rows]) for name, words, rows in owners if rows
    ]


def _label(name: str, row: Any) -> str:
    return f"{row.name} ({row.workspace.name})" if name == "api_key" else str(row.name)
