"""The API's addresses of who calls and who pays."""

from __future__ import annotations

from django.urls import path

from accounts.api.test_clock import TestClockView

urlpatterns = [
    path("test-clock", TestClockView.as_view()),
]
