"""Addresses that belong to every page."""

from __future__ import annotations

from django.urls import path

from core.pages.theme import set_theme

urlpatterns = [path("theme", set_theme, name="set_theme")]
