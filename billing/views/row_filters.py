"""Filters of lists over all customers: by time and by whose they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import HttpRequest

from billing.reports.events import PERIOD_CHOICES
from billing.views.customer_filters import DATE
from core.pages.rows import Rows


class RecordedForm(forms.Form):
    """When something was recorded, and whose it is; `billing.reports.events.read_filter` reads the same."""

    period = forms.ChoiceField(required=False, choices=PERIOD_CHOICES, label="Recorded")
    start = forms.DateField(required=False, widget=DATE, label="From")
    end = forms.DateField(required=False, widget=DATE, label="To, included")
    customer = forms.CharField(required=False, max_length=200)


class ReadFilters:
    """A form above rows that fit it already, because they were read for it."""

    def __init__(
        self, form: type[forms.Form], data: Mapping[str, Any], queryset: Rows, request: HttpRequest
    ) -> None:
        self.form = form(data, use_required_attribute=False)
        self.qs = queryset
