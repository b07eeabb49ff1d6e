"""Status badges: a word, a shape and a colour, so that the colour never speaks alone."""

from __future__ import annotations

from typing import Final, Literal

from django.utils.html import format_html
from django.utils.safestring import SafeString

from core.display.icons import icon_html

Tone = Literal["good", "warn", "bad", "info", "neutral"]

_ICONS: Final[dict[Tone, str]] = {
    "good": "circle-check",
    "warn": "triangle-alert",
    "bad": "circle-x",
    "info": "circle-dot",
    "neutral": "circle-dashed",
}
_WORDS: Final[dict[Tone, str]] = {
    "good": """
        active charged captured paid published settled delivered succeeded accepted matched ready resolved
        added moved acknowledged done accepted applied above_floor ok
    """,
    "warn": """
        past_due pending grace held expiring retrying late quarantined unmatched unpriced partial
        paused ceiling_kept overage unknown_cost parked
    """,
    "bad": """
        suspended denied failed overdue revoked rejected overspent unbalanced error uncollectible conflict
        below_floor below_cost fall lost silent
    """,
    "info": """
        trialing authorized open running investigating scheduled draft upcoming queued in_review new
        changed announced notified previewed applying sent_again
    """,
    "neutral": """
        closed voided void expired canceled cancelled archived inactive ended superseded written_off none
        unchanged removed retired held_out excepted left rolled_back never never_ran dropped
    """,
}
_TONES: Final[dict[str, Tone]] = {word: tone for tone, words in _WORDS.items() for word in words.split()}


def status_tone(status: str) -> Tone:
    """The tone of a status word; one that is not known is neutral."""
    return _TONES.get(status, "neutral")


def status_html(status: str, label: str = "", tone: Tone | None = None) -> SafeString:
    """A badge for a status as the models store it (`past_due` reads "Past due")."""
    shown = tone or status_tone(status)
    text = label or status.replace("_", " ").capitalize()
    return format_html('<span class="badge is-{}">{}{}</span>', shown, icon_html(_ICONS[shown], 14), text)
