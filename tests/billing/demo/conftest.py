"""The demo's notes of a test are the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings


@pytest.fixture(autouse=True)
def notes_folder(tmp_path: Path) -> Iterator[Path]:
    """Where demo.json and demo.key go."""
    with override_settings(DEMO_NOTES_DIR=tmp_path):
        yield tmp_path
