"""The `accounts` app; its README says what it owns."""

from __future__ import annotations

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Registers `accounts` with Django."""

    name = "accounts"
    label = "accounts"
