"""The check that looks after a file inside somebody else's package."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from config.checks import check_chart_js


def test_the_installed_chart_js_is_the_one_we_know() -> None:
    assert check_chart_js() == []


def test_a_missing_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finders, "find", lambda name: None)
    assert [error.id for error in check_chart_js()] == ["config.E001"]


def test_another_major_version_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "chart.js").write_text('version="5.0.0"')
    monkeypatch.setattr(finders, "find", lambda name: str(tmp_path / "chart.js"))
    assert [error.id for error in check_chart_js()] == ["config.E001"]
