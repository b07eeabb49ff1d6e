"""`{% icon %}`, `{% status %}`, `{% public_id %}` and `{% absent %}`: the small signs of a page."""

from __future__ import annotations

from django import template
from django.utils.safestring import SafeString

from core.display.html import ABSENT, public_id_html
from core.display.icons import icon_html
from core.display.statuses import Tone, status_html

register = template.Library()


@register.simple_tag
def icon(name: str, size: int = 16) -> SafeString:
    """A lucide icon; put a text beside it, it has none of its own."""
    return icon_html(str(name), size)


@register.simple_tag
def status(value: str, label: str = "", tone: Tone | None = None) -> SafeString:
    """The badge of a status word."""
    return status_html(value, label, tone)


@register.simple_tag
def public_id(value: str | None) -> SafeString:
    """An id with a copy button."""
    return public_id_html(value)


@register.simple_tag
def absent() -> SafeString:
    """A dash that a screen reader says as "no value"."""
    return ABSENT
