"""The filters of the customers list: the period, and what a customer's payers are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.http import HttpRequest

from accounts.models import BillingEntity
from billing.reports import spans
from billing.reports.customers import CustomerRow

ANY = ("", "Any")
DATE = forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d")


def in_words(word: str) -> str:
    """`Wallet then invoice` for `wallet_then_invoice`."""
    return word.replace("_", " ").capitalize()


class PeriodForm(forms.Form):
    """The period of a page; `spans.read_span` reads the same fields."""

    period = forms.ChoiceField(required=False, choices=[("", "This month"), *spans.CHOICES[1:]])
    start = forms.DateField(required=False, widget=DATE, label="From")
    end = forms.DateField(required=False, widget=DATE, label="To, included")


class CustomerFilterForm(PeriodForm):
    """Period, status, currency, settlement, and whether to show only what is sold below cost."""

    status = forms.ChoiceField(
        required=False, choices=[ANY, *((word, in_words(word)) for word in BillingEntity.Status.values)]
    )
    currency = forms.ChoiceField(required=False)
    settlement = forms.ChoiceField(
        required=False, choices=[ANY, *((word, in_words(word)) for word in BillingEntity.Settlement.values)]
    )
    below_cost = forms.BooleanField(required=False, label="Below cost")


def forget_unused_dates(request: HttpRequest) -> None:
    """Take the dates out of the address unless the period is custom: they would say what is not shown."""
    if request.GET.get("period") != spans.CUSTOM:
        query = request.GET.copy()
        query.pop("start", None)
        query.pop("end", None)
        request.GET = query  # type: ignore[assignment]


class CustomerFilters:
    """The rows that fit the form, in the shape that a `Listing` asks for."""

    def __init__(
        self, data: Mapping[str, Any], queryset: Sequence[CustomerRow], request: HttpRequest
    ) -> None:
        self.form = CustomerFilterForm(data, use_required_attribute=False)
        self._rows = queryset
        codes = sorted({code for row in queryset for code in row.currencies})
        self.form.fields["currency"].choices = [ANY, *((code, code) for code in codes)]  # type: ignore[attr-defined]

    @property
    def qs(self) -> list[CustomerRow]:
        """The rows that fit; a filter that makes no sense narrows nothing."""
        self.form.is_valid()
        wanted = self.form.cleaned_data
        return [row for row in self._rows if _fits(row, wanted)]


def _fits(row: CustomerRow, wanted: Mapping[str, Any]) -> bool:
    status, currency, settlement = (wanted.get(name, "") for name in ("status", "currency", "settlement"))
    return (
        (not status or row.status == status)
        and (not currency or currency in row.currencies)
        and (not settlement or settlement in row.settlements)
        and (not wanted.get("below_cost") or row.is_below_cost)
    )
