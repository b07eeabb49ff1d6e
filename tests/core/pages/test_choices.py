"""Filters by a few words."""

from __future__ import annotations

from core.pages.choices import as_badges


def test_a_filter_calls_a_word_as_its_badge_does_unless_somebody_gave_it_a_name() -> None:
    options = [("late_capture", "Late Capture"), ("api_key", "API key"), ("lease", "Lease")]
    assert as_badges(options) == [
        ("late_capture", "Late capture"),
        ("api_key", "API key"),
        ("lease", "Lease"),
    ]
