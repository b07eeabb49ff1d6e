"""The locale in which a reader sees numbers and dates: that of the browser, without translating words."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from babel import Locale, UnknownLocaleError
from django.http import HttpRequest
from django.utils.translation.trans_real import parse_accept_lang_header

DEFAULT: Final = Locale("en")


def locale_of(request: HttpRequest | None) -> Locale:
    """The first locale of the Accept-Language header that is known, else English."""
    if request is None:
        return DEFAULT
    return _negotiate(request.headers.get("Accept-Language", "")[:200].lower())


@lru_cache(maxsize=256)
def _negotiate(header: str) -> Locale:
    for tag, _quality in parse_accept_lang_header(header):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
    return DEFAULT
