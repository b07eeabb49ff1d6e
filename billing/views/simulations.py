"""Simulations: what versions would have charged for usage that happened, asked for, watched and read."""

from __future__ import annotations

from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.permissions import Right, may
from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from billing.reports.comparing import currency_units
from billing.simulations import cancel_simulation, request_simulation
from billing.views.price_changes import name_of
from billing.views.simulation_forms import SimulationForm, first_values
from billing.views.simulation_rows import rows_listing, rows_of, spread_chart
from core import clock
from core.api.references import find_referenced
from core.errors import TollgateError
from core.htmx import wants_fragment
from core.numbers import plain
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import Words, filter_by
from core.pages.confirm import Confirmation, ask
from core.pages.listing import Listing
from pricing.models import Simulation
from pricing.views.versions import find_version

Status = Simulation.Status
STATUSES: Final = [(str(word), str(label)) for word, label in Status.choices]


def versions_text(row: Simulation) -> str:
    """`payg v2, payg v3`."""
    return ", ".join(version_name(version) for version in row.versions)


def version_name(version: dict[str, Any]) -> str:
    """One simulated version; what stands in no version yet is called so."""
    return f"{version['plan']} v{version['number']}" if version.get("number") else f"{version['plan']} (text)"


SIMULATIONS: Final = Listing(
    key="simulations",
    title="Simulations",
    columns=(
        custom_column("versions", "Versions", lambda row, reader: versions_text(row), csv=versions_text),
        columns.status("status", "Status"),
        columns.instant("starts_at", "Usage from", precision="day"),
        columns.instant("ends_at", "To", precision="day"),
        columns.quantity("payers_done", "Payers"),
        columns.instant("created_at", "Asked"),
        columns.text("created_by", "By"),
        columns.identifier("public_id", "Id").extra(),
    ),
    default_sort="-created_at",
    filters=filter_by(Words("status", "status", STATUSES)),
    row_url=lambda row: reverse("simulation", args=[row.public_id]),
    empty_title="No simulations yet",
    empty_text="See what a version would have charged each customer for what it really used.",
)


@staff_page()
def simulations(request: HttpRequest) -> HttpResponseBase:
    """The list."""
    context = {"may_run": may(request.user, Right.MANAGE_PRICES)}
    rows = Simulation.objects.all()
    return SIMULATIONS.respond(request, rows, "billing/simulations/list.html", context)


@staff_page(Right.MANAGE_PRICES)
def new_simulation(request: HttpRequest) -> HttpResponseBase:
    """The form; by POST the simulation is queued."""
    data = request.POST if request.method == "POST" else None
    viewer = viewer_of(request)
    form = SimulationForm(data, viewer, first_values(request.GET.dict(), clock.now()))
    if data is not None and form.is_valid():
        versions = [find_version(viewer, one) for one in form.cleaned_data["versions"]]
        try:
            asked = request_simulation(versions, **form.question(), created_by=name_of(request))
            return redirect("simulation", asked.public_id)
        except TollgateError as error:
            form.add_error(None, error.message)
    context = {"form": form, "crumbs": crumbs("New")}
    status = 422 if form.errors else 200
    return render(request, "billing/simulations/new.html", context, status=status)


@staff_page()
def simulation(request: HttpRequest, reference: str) -> HttpResponseBase:
    """How far a simulation is, and once it is done what it came to, version by version (`?of=`)."""
    row = find_simulation(reference)
    context = about(request, row)
    if row.status != Status.DONE:
        return render(request, "billing/simulations/waiting.html", context)
    viewer, number = viewer_of(request), chosen_version(request, row)
    code = row.totals[number]["currency"]
    unit = currency_units().get(code, code)
    context |= figures(row, number, unit)
    listing = rows_listing(viewer, row, unit)
    return listing.respond(request, rows_of(viewer, row, number), "billing/simulations/result.html", context)


def about(request: HttpRequest, row: Simulation) -> dict[str, Any]:
    """What stands on the page of a simulation in any state."""
    is_live = row.status in (Status.QUEUED, Status.RUNNING)
    return {
        "row": row,
        "names": [version_name(version) for version in row.versions],
        "may_cancel": is_live and may(request.user, Right.MANAGE_PRICES),
        "is_live": is_live,
        "crumbs": crumbs(versions_text(row)),
    }


def figures(row: Simulation, number: int, unit: Any) -> dict[str, Any]:
    """The totals of one version, drawn and in figures."""
    totals = row.totals[number]
    return {
        "totals": totals,
        "unit": unit,
        "number_text": str(number),
        "grows_text": plain(row.grows_by),
        "tabs": [
            (version_name(version), f"?of={n}", n == number, None) for n, version in enumerate(row.versions)
        ],
        "chart": spread_chart(totals, unit),
    }


@staff_page()
def simulation_progress(request: HttpRequest, reference: str) -> HttpResponseBase:
    """How far it is, alone; once it has ended the page is loaded anew."""
    row = find_simulation(reference)
    if wants_fragment(request) and row.status not in (Status.QUEUED, Status.RUNNING):
        return redirect("simulation", reference)
    return render(request, "billing/simulations/_progress.html", {"row": row, "is_live": True})


@staff_page(Right.MANAGE_PRICES)
def ask_cancel_simulation(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Say what calling it off does."""
    row = find_simulation(reference)
    question = Confirmation(
        title="Call this simulation off?",
        effect="It stops. What it has found so far stays readable in the API; it charges nobody either way.",
        verb="Call it off",
        url=reverse("simulation_cancel", args=[row.public_id]),
        back_url=reverse("simulation", args=[row.public_id]),
    )
    return ask(request, question)


@require_POST
@staff_page(Right.MANAGE_PRICES)
def cancel(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Call it off."""
    try:
        cancel_simulation(find_simulation(reference))
        messages.success(request, "Called off.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("simulation", reference)


def find_simulation(reference: str) -> Any:
    """The simulation of a public id; raises NotFound."""
    return find_referenced(Simulation.objects.all(), "sim", reference)


def chosen_version(request: HttpRequest, row: Simulation) -> int:
    """The number of the version in the address; the first when it makes no sense."""
    text = request.GET.get("of", "")
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 3 else 0
    return number if number < len(row.totals) else 0


def crumbs(name: str) -> list[tuple[str, str]]:
    """The breadcrumbs of a simulation."""
    return [("Simulations", reverse("simulations")), (name, "")]
