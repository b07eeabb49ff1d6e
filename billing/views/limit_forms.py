"""What people fill in to bound spend: whose, how much, in which window, and what happens at the limit."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from django import forms

from accounts.models import ApiKey, Organization, Workspace
from accounts.scoping import Viewer, visible
from billing.limits.verbs import HOURS_MAX, THRESHOLD_MAX, Owner, owner_of, payer_of
from billing.models import SpendLimit
from billing.models.limits import default_thresholds
from billing.reports.customer import CustomerFrame
from billing.views.money_forms import amount_field
from core import clock
from core.currencies import ISO_DECIMALS
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
    """A limit to be, in one of the currencies in which the customer pays: a single one is chosen already."""

    owner = forms.ChoiceField(label="Whose spend")
    meter = forms.ChoiceField(
        required=False, label="Only of", help_text="One meter, for a payer; or all that it spends."
    )
    currency = forms.ChoiceField(
        help_text="That in which the spend is paid: what is paid in another one does not count in it."
    )
    window = forms.ChoiceField(choices=WINDOWS, initial=SpendLimit.Window.BILLING_PERIOD)
    hours = forms.IntegerField(
        required=False, min_value=1, max_value=HOURS_MAX, help_text="Only of a window of so many hours."
    )
    field_order = ("owner", "meter", "amount", "currency", "window", "hours", "kind", "thresholds")

    def __init__(self, data: Any, viewer: Viewer, frame: CustomerFrame) -> None:
        first = {"kind": SpendLimit.Kind.HARD, "thresholds": ", ".join(map(str, default_thresholds()))}
        super().__init__(data, initial=first)
        self._rows = _owners(viewer, frame)
        meters = Meter.objects.filter(aggregation__in=("count", "sum")).order_by("name", "key")
        self._meters = {meter.key: meter for meter in meters[:OFFERED_MAX]}
        paid_in = sorted({payer.currency for payer in frame.payers}) or sorted(ISO_DECIMALS)
        first_one = [] if len(paid_in) == 1 else [("", "Choose")]
        self.fields["currency"].choices = [  # type: ignore[attr-defined]
            *first_one,
            *((code, code) for code in paid_in),
        ]
        self.fields["owner"].choices = _choices(  # type: ignore[attr-defined]
            self._rows, has_several=len(paid_in) > 1
        )
        self.fields["meter"].choices = [  # type: ignore[attr-defined]
            ("", "All it spends"),
            *((key, meter.name) for key, meter in self._meters.items()),
        ]

    def clean(self) -> dict[str, Any]:
        """Refuse another currency than the one payer pays in: such a limit would bound nothing."""
        values = self.cleaned_data
        if "owner" in values and "currency" in values:
            owner = self._named()
            payer = None if "organization" in owner else payer_of(owner_of(**owner), clock.now())
            if payer is not None and payer.currency != values["currency"]:
                self.add_error("currency", f"{payer.name} pays for this, in {payer.currency}.")
        return values

    def chosen(self) -> Owner:
        """Whose spend a valid form bounds. Raises InvalidRequest for a meter beside no payer."""
        return owner_of(**self._named(), meter=self._meters.get(self.cleaned_data["meter"]))

    def terms(self) -> dict[str, Any]:
        """Currency, window, hours, kind and thresholds of a valid form, as `create_limit` takes them."""
        names = ("currency", "window", "hours", "kind", "thresholds")
        return {name: self.cleaned_data[name] for name in names}

    def _named(self) -> dict[str, Any]:
        """The chosen owner, by the name of its column."""
        wanted = self.cleaned_data["owner"]
        return next({name: row} for name, _, rows in self._rows for row in rows if row.public_id == wanted)


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


def _choices(owners: Sequence[tuple[str, str, Sequence[Any]]], *, has_several: bool) -> Choices:
    return [
        (words, [(row.public_id, _label(name, row, has_several=has_several)) for row in rows])
        for name, words, rows in owners
        if rows
    ]


def _label(name: str, row: Any, *, has_several: bool) -> str:
    if name == "billing_entity" and has_several:
        return f"{row.name} ({row.currency})"
    return f"{row.name} ({row.workspace.name})" if name == "api_key" else str(row.name)
