"""The pages' own January and people, as in the pages of billing."""

from __future__ import annotations

from tests.billing.pages.conftest import _january, acme, sign_in, staff, version

__all__ = ["_january", "acme", "sign_in", "staff", "version"]
