"""The reader's locale comes from the browser and never fails."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from core.display.locale import locale_of


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("de-CH,de;q=0.9", "de_CH"),
        ("en-US,en;q=0.5", "en_US"),
        ("xx-YY, fr;q=0.8", "fr"),
        ("", "en"),
        ("*", "en"),
        (";;;,\x00", "en"),
        ("a" * 5000, "en"),
    ],
)
def test_the_first_known_locale_counts(header: str, locale: str) -> None:
    request = RequestFactory().get("/", headers={"accept-language": header})
    assert str(locale_of(request)) == locale


def test_without_a_request_it_is_english() -> None:
    assert str(locale_of(None)) == "en"
