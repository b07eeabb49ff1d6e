"""Reconciliation: its links and their drift, what stands, asking for a run, and the runs before."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from babel import Locale
from babel.dates import format_date
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Discrepancy, ReconciliationCheck, ReconciliationRun
from billing.reconciliation.links import LINKS
from billing.reconciliation.runs import cancel_run, request_run
from billing.reports.reconciliation import (
    LinkState,
    drift_days,
    drift_units,
    is_money,
    standing,
)
from billing.views.discrepancy_rows import DISCREPANCIES, drift_html, title_of
from billing.views.price_changes import name_of
from core import clock
from core.api.references import find_referenced
from core.display.charts import Chart, Series
from core.display.locale import locale_of
from core.errors import TollgateError
from core.htmx import wants_fragment
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import Words, filter_by
from core.pages.listing import Listing

COLOURS: Final = 6
KINDS: Final = ReconciliationRun.Kind.values
RUNS: Final = Listing(
    key="reconciliation-runs",
    title="Runs",
    columns=(
        columns.instant("created_at", "Asked for"),
        columns.text("kind", "Kind"),
        columns.status("status", "Status"),
        columns.instant("as_of", "Complete up to"),
        columns.quantity("rows_checked", "Rows"),
        columns.quantity("found", "Found"),
        columns.quantity("new", "New"),
        columns.quantity("resolved", "Resolved"),
        custom_column("took", "Took", lambda row, reader: took(row), csv=lambda row: took(row)),
        columns.text("created_by", "By"),
        columns.identifier("public_id", "Id").extra(),
    ),
    default_sort="-created_at",
    filters=filter_by(
        Words("kind", "kind", ReconciliationRun.Kind.choices),
        Words("status", "status", ReconciliationRun.Status.choices),
    ),
    row_url=lambda row: reverse("reconciliation_run", args=[row.public_id]),
    empty_title="No run yet",
    empty_text="A run holds the parts of the record against each other. One comes every night.",
)


@staff_page()
def reconciliation(request: HttpRequest) -> HttpResponseBase:
    """The links as a row of checks, their drift, and what stands."""
    now, locale = clock.now(), locale_of(request)
    state = standing()
    context = {
        "state": state,
        "cards": [card(one, locale) for one in state.links],
        "open_rows": [
            (one, title_of(one.link), drift_html(one.amount, one.unit, locale)) for one in state.open
        ],
        "chart": drift_chart(request, now.date(), locale),
        "may_run": state.running is None and may(request.user, Right.MOVE_MONEY),
        "run": state.running,
        "unit_tabs": unit_tabs(request, now.date()),
    }
    return DISCREPANCIES.respond(request, shown_rows(request), "billing/reconciliation/index.html", context)


def shown_rows(request: HttpRequest) -> QuerySet[Discrepancy]:
    """What stands; all of a status that is asked for."""
    rows = visible(Discrepancy, viewer_of(request))
    return rows if request.GET.get("status") else rows.exclude(status=Discrepancy.Status.RESOLVED)


def card(one: LinkState, locale: Locale) -> dict[str, Any]:
    """A link as a check: clean, drifting, or never looked at."""
    tone = "bad" if one.open else ("good" if one.checked else "neutral")
    nothing = "Not checked" if one.checked is None else "Nothing to compare"
    return {
        "link": one.link,
        "title": title_of(one.link.name),
        "tone": tone,
        "word": f"{one.open} open" if one.open else ("Agrees" if one.checked else nothing),
        "drift": [drift_html(amount, unit, locale) for unit, amount in sorted(one.drift.items())],
        "rows": one.checked,
        "url": f"?link={one.link.name}#discrepancies",
    }


def drift_chart(request: HttpRequest, today: Any, locale: Locale) -> Chart:
    """The drift of each link by day, in one unit."""
    unit = chosen_unit(request, drift_units(today))
    days, found = drift_days(today, unit)
    series = [
        Series(label=title_of(link), values=values, colour=number % COLOURS + 1)
        for number, (link, values) in enumerate(sorted(found.items()))
    ]
    nothing: list[Decimal | None] = [None for _ in days]
    return Chart(
        key="drift",
        title="Drift by day" if is_money(unit) else f"Drift by day, {unit}",
        labels=[format_date(day, "d MMM", locale=locale) for day in days],
        series=series or [Series(label="Drift", values=nothing)],
        measure="money" if is_money(unit) else "quantity",
        unit=unit if is_money(unit) else "",
        is_stacked=True,
        note="What stood at the end of each day's last run, without signs. A day without a run is empty.",
    )


def chosen_unit(request: HttpRequest, units: list[str]) -> str:
    """The unit in the address, or the first that drifts."""
    wanted = request.GET.get("unit", "")
    return wanted if wanted in units else (units[0] if units else "USD")


def unit_tabs(request: HttpRequest, today: Any) -> list[tuple[str, str, bool, None]]:
    """A tab for each unit that drifted, when there are several."""
    units = drift_units(today)
    chosen = chosen_unit(request, units)
    return [(unit, f"?unit={unit}", unit == chosen, None) for unit in units] if len(units) > 1 else []


@require_POST
@staff_page(Right.MOVE_MONEY)
def run_now(request: HttpRequest, kind: str) -> HttpResponseBase:
    """Ask for a run; a worker takes it on."""
    if kind not in KINDS:
        raise Http404
    try:
        request_run(kind, created_by=name_of(request))
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("reconciliation")


@staff_page()
def run_progress(request: HttpRequest, reference: str) -> HttpResponseBase:
    """How far a run is, alone; once it has ended the page is loaded anew."""
    run = find_run(request, reference)
    if wants_fragment(request) and run.finished_at is not None:
        return redirect("reconciliation")
    return render(request, "billing/reconciliation/_progress.html", {"run": run})


@staff_page()
def reconciliation_runs(request: HttpRequest) -> HttpResponseBase:
    """The runs, the latest first."""
    context = {"crumbs": crumbs("Runs")}
    rows = visible(ReconciliationRun, viewer_of(request))
    return RUNS.respond(request, rows, "billing/reconciliation/runs.html", context)


@staff_page()
def reconciliation_run(request: HttpRequest, reference: str) -> HttpResponseBase:
    """One run: each link of it, and what it found for the first time."""
    run, locale = find_run(request, reference), locale_of(request)
    sides = {link.name: f"{link.left} and {link.right}" for link in LINKS}
    checks = [
        (
            row,
            title_of(row.link),
            sides.get(row.link, ""),
            [drift_html(Decimal(one), unit, locale) for unit, one in row.drift.items()],
        )
        for row in ReconciliationCheck.objects.filter(run=run).order_by("pk")
    ]
    found = visible(Discrepancy, viewer_of(request)).filter(first_run=run)
    context = {"run": run, "checks": checks, "took": took(run), "crumbs": crumbs(run.public_id, is_run=True)}
    context["may_cancel"] = run.finished_at is None and may(request.user, Right.MOVE_MONEY)
    return DISCREPANCIES.respond(request, found, "billing/reconciliation/run.html", context)


@require_POST
@staff_page(Right.MOVE_MONEY)
def cancel(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Call a run off."""
    try:
        cancel_run(find_run(request, reference))
        messages.success(request, "Called off. What it has found so far stays.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("reconciliation_run", reference)


def find_run(request: HttpRequest, reference: str) -> ReconciliationRun:
    """The run of a public id; raises NotFound."""
    run: ReconciliationRun = find_referenced(visible(ReconciliationRun, viewer_of(request)), "rec", reference)
    return run


def took(run: ReconciliationRun) -> str:
    """How long it took: `3.2 s`."""
    if run.started_at is None or run.finished_at is None:
        return ""
    seconds = (run.finished_at - run.started_at).total_seconds()
    return f"{seconds:.1f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def crumbs(name: str, *, is_run: bool = False) -> list[tuple[str, str]]:
    """The breadcrumbs of what hangs on reconciliation."""
    runs = [("Runs", reverse("reconciliation_runs"))] if is_run else []
    return [("Reconciliation", reverse("reconciliation")), *runs, (name, "")]
