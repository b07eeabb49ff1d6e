"""What every test shares: the embedded servers, and skips that speak up."""

from __future__ import annotations

import os
import shutil

import pytest

PROGRAMS = {"chromium": ("chromium", "chromium-browser"), "nginx": ("nginx",)}
REQUIRE_ALL = os.environ.get("TOLLGATE_REQUIRE_ALL") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose program is missing, or fail it when everything has to run."""
    for marker, names in PROGRAMS.items():
        if item.get_closest_marker(marker) and not any(shutil.which(name) for name in names):
            sentence = f"{marker} is not installed; install it to run this test"
            if REQUIRE_ALL:
                pytest.fail(sentence)
            pytest.skip(sentence)
