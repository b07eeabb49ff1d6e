"""Who may open an account: nobody by themselves. Staff and owners are invited by those who are in."""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedAccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]
    """allauth's rules, without its sign-up page."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False
