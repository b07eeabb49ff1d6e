"""The tags of the templates: no load needed, in the locale of the reader, without a value never failing."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.template import Context, Template
from django.test import RequestFactory

from core import clock

AT = datetime(2026, 11, 23, 14, 5, 7, tzinfo=UTC)


def rendered(source: str, language: str = "en", **values: Any) -> str:
    """The template's text for a reader with that Accept-Language."""
    request = RequestFactory().get("/", headers={"accept-language": language})
    return Template(source).render(Context({"request": request, **values}))


def test_money_follows_the_readers_locale() -> None:
    source = '{% money amount "EUR" %}'
    assert "1,234.50" in rendered(source, amount=Decimal("1234.5"))
    assert "1.234,50" in rendered(source, "de", amount=Decimal("1234.5"))


def test_money_can_be_exact() -> None:
    assert "0.00025" in rendered('{% money "0.00025" "USD" exact=True %}')
    assert "&lt;0.01" in rendered('{% money "0.00025" "USD" %}')


def test_a_tag_without_a_request_speaks_english() -> None:
    assert "1,234.50" in Template('{% money "1234.5" "USD" %}').render(Context())


@pytest.mark.parametrize(
    "source",
    [
        '{% money missing "USD" %}',
        "{% quantity missing %}",
        "{% percent missing %}",
        "{% delta missing 1 %}",
        "{% delta 1 missing %}",
        "{% public_id missing %}",
        "{% absent %}",
        '{% share 1 missing "label" %}',
    ],
)
def test_what_is_missing_is_a_dash_with_words(source: str) -> None:
    assert "no value" in rendered(source, missing=None)


def test_a_missing_instant_is_a_dash_too() -> None:
    assert "no value" in rendered("{% instant at %}", at=None)
    assert "no value" in rendered("{% ago at %}", at=None)


def test_a_quantity_has_its_unit_and_a_ratio_its_digits() -> None:
    assert '8,819.25 <span class="unit">calls</span>' in rendered('{% quantity "8819.250" "calls" %}')
    assert "42%" in rendered('{% percent "0.4199" 0 %}')


def test_a_rise_of_costs_is_bad() -> None:
    assert "is-bad" in rendered('{% delta 110 100 better="down" %}')


def test_an_instant_has_zone_precision_and_utc() -> None:
    text = rendered('{% instant at "Asia/Kolkata" "second" %}', at=AT)
    assert "23 Nov 2026, 19:35:07" in text
    assert "IST" in text
    assert 'title="2026-11-23 14:05:07 UTC"' in text


def test_an_instant_of_an_unknown_zone_is_in_utc_and_says_so() -> None:
    text = rendered('{% instant at "Nowhere/City" %}', at=AT)
    assert "14:05" in text
    assert '<span class="zone">UTC</span>' in text


def test_ago_counts_by_the_projects_clock() -> None:
    clock.use(lambda: AT + timedelta(days=2))
    try:
        assert "2 days ago" in rendered("{% ago at %}", at=AT)
    finally:
        clock.use(None)


def test_a_day_has_no_time() -> None:
    assert rendered("{% day value %}", value=date(2026, 3, 1)) == "1 Mar 2026"


def test_a_value_can_be_kept_for_a_component() -> None:
    source = '{% money 5 "USD" as value %}{% include "components/stat.html" with label="Revenue" %}'
    text = rendered(source)
    assert '<p class="stat-label">Revenue</p>' in text
    assert '<span class="money-amount">5.00</span>' in text


def test_a_figure_may_lead_somewhere() -> None:
    text = rendered('{% include "components/stat.html" with label="Events" value="8" url="/events" %}')
    assert 'class="stat is-link"' in text
    assert '<a href="/events">Events</a>' in text


def test_a_status_may_have_a_label_and_a_tone_of_its_own() -> None:
    assert "Past due" in rendered('{% status "past_due" %}')
    assert "is-bad" in rendered('{% status "anything" "Overrun" tone="bad" %}')


def test_a_sparkline_and_a_share_are_drawn_without_inline_style() -> None:
    text = rendered('{% sparkline values "Calls" %}{% share 64 100 "64% used" colour=2 %}', values=[1, 2, 3])
    assert 'aria-label="Calls"' in text
    assert 'aria-label="64% used"' in text
    assert "style=" not in text


def test_tabs_say_which_one_is_open() -> None:
    tabs = [("Overview", "/a", True, None), ("Grants", "/b", False, 0)]
    text = rendered('{% include "components/tabs.html" with label="Customer" %}', tabs=tabs)
    assert '<a href="/a" aria-current="page">Overview</a>' in text
    assert '<span class="count">0</span>' in text


def test_breadcrumbs_end_with_the_page_itself() -> None:
    text = rendered(
        '{% include "components/crumbs.html" %}', crumbs=[("Customers", "/customers"), ("<Ink>", "")]
    )
    assert '<a href="/customers">Customers</a>' in text
    assert '<span aria-current="page">&lt;Ink&gt;</span>' in text
    assert rendered('{% include "components/crumbs.html" %}').strip() == ""


@pytest.mark.parametrize("tone", ["", "good", "warn", "bad"])
def test_a_note_has_a_shape_for_its_tone(tone: str) -> None:
    text = rendered('{% include "components/note.html" with text="x" %}', tone=tone)
    assert text.count("<svg") == 1


def test_a_state_offers_a_way_on() -> None:
    source = '{% include "components/state.html" with title="Nothing yet" url="/new" action="Create" %}'
    assert '<a class="button" href="/new">Create</a>' in rendered(source)
    assert "actions" not in rendered('{% include "components/state.html" with title="Nothing yet" %}')
