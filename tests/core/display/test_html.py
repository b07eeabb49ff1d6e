"""The HTML of single values: escaped, with words for who does not see it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from babel import Locale

from core.display.html import (
    ABSENT,
    ago_html,
    as_decimal,
    delta_html,
    instant_html,
    money_html,
    percent_html,
    public_id_html,
    quantity_html,
)
from core.display.icons import icon_html
from core.display.statuses import status_html, status_tone

EN = Locale("en")
AT = datetime(2026, 11, 23, 14, 5, 7, tzinfo=UTC)


def test_money_stands_beside_its_code() -> None:
    assert money_html(Decimal("12.5"), "USD", EN) == (
        '<span class="money"><span class="money-code">USD</span> '
        '<span class="money-amount">12.50</span></span>'
    )


def test_rounded_money_tells_the_whole_amount_on_hover() -> None:
    assert 'title="USD 0.00025"' in money_html(Decimal("0.00025"), "USD", EN)
    assert "title" not in money_html(Decimal("12.50"), "USD", EN)


def test_a_loss_is_marked() -> None:
    assert "is-negative" in money_html(Decimal("-1"), "USD", EN)
    assert "is-negative" in percent_html(Decimal("-0.1"), EN)


@pytest.mark.parametrize(
    "value", [None, "", "abc", True, Decimal("NaN"), Decimal("Infinity"), "1E+999", object(), 1.5]
)
def test_what_is_no_number_reads_as_no_value(value: object) -> None:
    assert as_decimal(value) is None
    assert money_html(value, "USD", EN) == ABSENT
    assert quantity_html(value, EN) == ABSENT
    assert percent_html(value, EN) == ABSENT


def test_a_dash_has_words_for_a_screen_reader() -> None:
    assert '<span class="visually-hidden">no value</span>' in ABSENT


@pytest.mark.parametrize(
    ("now", "before", "better", "tone", "word"),
    [
        ("110", "100", "up", "good", "up "),
        ("90", "100", "up", "bad", "down "),
        ("90", "100", "down", "good", "down "),
        ("110", "100", "neither", "neutral", "up "),
        ("5", "-10", "up", "good", "up "),
    ],
)
def test_a_change_has_a_direction_and_a_tone(
    now: str, before: str, better: str, tone: str, word: str
) -> None:
    html = delta_html(now, before, EN, better)
    assert f"is-{tone}" in html
    assert f'<span class="visually-hidden">{word}</span>' in html


def test_no_change_and_no_basis_are_said() -> None:
    assert "unchanged" in delta_html("1", "1", EN)
    assert "almost unchanged" in delta_html("0.96431", "0.9644", EN), "not a red arrow beside 0.0%"
    assert "almost" not in delta_html("1.0005", "1", EN)
    assert delta_html("1", "0", EN) == ABSENT
    assert delta_html("1", None, EN) == ABSENT


def test_an_instant_carries_utc() -> None:
    html = instant_html(AT, UTC, EN)
    assert 'datetime="2026-11-23T14:05:07+00:00"' in html
    assert 'title="2026-11-23 14:05:07 UTC"' in html
    assert instant_html(None, UTC, EN) == ABSENT
    assert ago_html(None, AT, EN) == ABSENT


def test_foreign_text_is_escaped() -> None:
    evil = '"><script>alert(1)</script>'
    for html in (
        public_id_html(evil),
        money_html(Decimal(1), evil, EN),
        status_html(evil),
        quantity_html(1, EN, evil),
    ):
        assert "<script>" not in html


def test_an_id_can_be_copied() -> None:
    assert 'data-copy="cus_1h"' in public_id_html("cus_1h")
    assert public_id_html(None) == ABSENT


def test_a_status_has_a_word_a_shape_and_a_tone() -> None:
    html = status_html("past_due")
    assert "Past due" in html
    assert "is-warn" in html
    assert "<svg" in html
    assert status_tone("something_new") == "neutral"
    assert "Overrun" in status_html("x", label="Overrun", tone="bad")


def test_an_icon_is_hidden_from_screen_readers() -> None:
    assert 'aria-hidden="true"' in icon_html("copy")
