"""A chart in a page: canvas, data and the same figures as a table."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal

from django.template import Context, Template

from core.display.charts import Chart, Series

CHART = Chart(
    key="revenue",
    title="Revenue </script>",
    labels=["1 Nov", "2 Nov"],
    unit="USD",
    note="Complete until 14:05",
    series=[
        Series(label="Pro", values=[Decimal("1234.5"), None]),
        Series(label="Before", values=[Decimal(1), Decimal(2)], is_faint=True),
    ],
)


def markup(chart: Chart) -> str:
    return Template("{% chart chart %}").render(Context({"chart": chart}))


def test_the_canvas_is_an_image_with_words_and_points_at_its_data() -> None:
    text = markup(CHART)
    assert re.search(
        r'<canvas data-chart="revenue-data" role="img" aria-label="Revenue [^"]+Pro, Before', text
    )
    found = re.search(r'<script id="revenue-data" type="application/json">(.*?)</script>', text)
    assert found
    assert json.loads(found[1])["labels"] == ["1 Nov", "2 Nov"]


def test_nothing_in_a_chart_can_close_its_script() -> None:
    chart = replace(CHART, labels=["</script><script>alert(1)</script>", "b"])
    assert "<script>alert" not in markup(chart)


def test_the_table_holds_every_figure_under_its_head() -> None:
    text = markup(CHART)
    assert text.count('<th scope="row">') == 2
    assert '<th scope="col" class="num">Before</th>' in text
    assert '<td class="num">USD 1,234.50</td>' in text
    assert '<td class="num">\u2013</td>' in text


def test_the_unit_the_note_and_the_legend_are_shown() -> None:
    text = markup(CHART)
    assert '<span class="chart-unit">USD</span>' in text
    assert "Complete until 14:05" in text
    assert text.count("<li>") == 2
    assert "key-faint" in text


def test_one_series_needs_no_legend() -> None:
    assert "chart-legend" not in markup(replace(CHART, series=CHART.series[:1]))


def test_a_chart_without_figures_says_so_instead_of_drawing() -> None:
    text = markup(replace(CHART, series=[Series(label="x", values=[None, None])]))
    assert "Nothing to draw" in text
    assert "<canvas" not in text
