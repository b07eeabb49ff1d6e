"""Icons: inline SVG out of the `lucide` package, decorative unless they carry a label of their own."""

from __future__ import annotations

from functools import lru_cache

import lucide
from django.utils.safestring import SafeString, mark_safe


@lru_cache(maxsize=256)
def icon_html(name: str, size: int = 16) -> SafeString:
    """The icon of that lucide name, hidden from screen readers: a text stands beside it."""
    markup = lucide._render_icon(name, size, **{"class": "icon", "aria-hidden": "true", "focusable": "false"})
    return mark_safe(markup)  # noqa: S308 - from the package, nothing of a user in it
