"""The addresses of billing."""

from __future__ import annotations

from django.urls import path

from billing.api.charges import ChargesView
from billing.api.events import EventsView

urlpatterns = [
    path("charges", ChargesView.as_view(), name="charges"),
    path("events", EventsView.as_view(), name="events"),
]
