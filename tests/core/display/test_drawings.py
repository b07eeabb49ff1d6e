"""Charts, sparklines and share bars: what is drawn is also said."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal

from babel import Locale

from core.display.charts import Chart, Series
from core.display.html import ABSENT
from core.display.sparklines import fill_html, share_html, sparkline_html

EN = Locale("en")
CHART = Chart(
    key="revenue",
    title="Revenue",
    labels=["1 Nov", "2 Nov"],
    unit="USD",
    series=[Series(label="Pro", values=[Decimal("1234.5"), None], colour=3)],
)


def test_a_chart_sends_figures_as_strings_with_their_text() -> None:
    series = CHART.payload(EN)["series"][0]
    assert series["values"] == ["1234.5", None]
    assert series["texts"] == ["USD 1,234.50", "\u2013"]
    assert series["colour"] == 3


def test_a_chart_is_a_table_too() -> None:
    assert CHART.rows(EN) == [("1 Nov", ["USD 1,234.50"]), ("2 Nov", ["\u2013"])]
    assert CHART.summary == "Revenue: Pro from 1 Nov to 2 Nov. The figures are in the table below the chart."


def test_a_measure_decides_the_text() -> None:
    assert replace(CHART, measure="quantity", unit="calls").text(Decimal("1500"), EN) == "1,500 calls"
    assert replace(CHART, measure="ratio").text(Decimal("0.5"), EN) == "50.0%"


def test_an_exponent_never_reaches_the_script() -> None:
    chart = replace(CHART, series=[Series(label="x", values=[Decimal("1E+5"), Decimal("1E-9")])])
    assert chart.payload(EN)["series"][0]["values"] == ["100000", "0.000000001"]


def test_a_chart_without_figures_is_empty() -> None:
    assert not CHART.is_empty
    assert replace(CHART, series=[Series(label="x", values=[None, Decimal(0)])]).is_empty


def test_a_sparkline_stays_inside_its_box() -> None:
    html = sparkline_html([Decimal(-5), None, Decimal(10)])
    assert 'points="2.0,26.0 50.0,18.0 98.0,2.0"' in html
    assert 'aria-hidden="true"' in html


def test_a_sparkline_with_a_label_is_an_image() -> None:
    assert 'role="img" aria-label="Usage &lt;7 days&gt;"' in sparkline_html(
        [Decimal(1)] * 2, "Usage <7 days>"
    )


def test_a_flat_sparkline_and_one_of_zeros_are_drawn() -> None:
    assert 'points="2.0,2.0 98.0,2.0"' in sparkline_html([Decimal(3), Decimal(3)])
    assert 'points="2.0,2.0 98.0,2.0"' in sparkline_html([Decimal(0), Decimal(0)])


def test_one_value_is_no_course() -> None:
    assert sparkline_html([Decimal(1)]) == ABSENT


def test_a_share_is_cut_off_at_the_whole() -> None:
    html = share_html([(Decimal(80), 1), (Decimal(50), 2)], Decimal(100), "130%")
    assert '<rect class="share-1" x="0" width="80.0"' in html
    assert '<rect class="share-2" x="80.0" width="20.0"' in html
    assert 'aria-label="130%"' in html


def test_a_share_of_nothing_is_no_value() -> None:
    assert share_html([(1, 1)], 0, "x") == ABSENT
    assert share_html([(1, 1)], None, "x") == ABSENT


def test_a_fill_says_any_share_and_its_bar_ends_at_the_whole() -> None:
    html = fill_html(Decimal("123.45"), Decimal(5), Decimal(1), EN, "limit")
    assert html.startswith('<span class="fill"><span class="percent">12,845%</span><svg class="share"')
    assert 'aria-label="12,845% of the limit"' in html
    widths = [Decimal(one) for one in re.findall(r'<rect class="share-\d" x="[\d.]+" width="([\d.]+)"', html)]
    assert widths == [100, 0]
    part = fill_html(Decimal(25), Decimal(50), Decimal(100), EN, "quota")
    assert ">75%<" in part
    assert 'x="25.0" width="50.0"' in part


def test_a_whole_of_nothing_is_never_full() -> None:
    assert fill_html(Decimal(1), Decimal(0), Decimal(0), EN, "limit") == ABSENT
