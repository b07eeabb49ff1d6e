"""Price changes: the list, and the way from a version over its cohort to what became of each customer."""

from __future__ import annotations

from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.models import User
from accounts.permissions import Right, may
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.rollouts import draft_rollout, preview_cohort
from billing.views.price_change_forms import CohortForm, version_choices
from billing.views.price_change_members import MEMBERS, with_names
from core import clock
from core.api.references import find_referenced
from core.display.html import ABSENT
from core.display.statuses import status_html
from core.errors import TollgateError
from core.pages import columns
from core.pages.cells import custom_column
from core.pages.choices import Words, filter_by
from core.pages.columns import Reader
from core.pages.listing import Listing
from pricing.models import PlanVersion, Rollout, RolloutMember, Simulation
from pricing.plan_rows import running_counts
from pricing.rollouts import UNDER_WAY, with_progress
from pricing.views.versions import find_version

Status = Rollout.Status
STEPS: Final = ("Version", "Cohort", "Simulate", "Announce", "Watch")
STATUSES: Final = [(str(word), str(label)) for word, label in Status.choices]


def to_text(row: Rollout) -> str:
    """Where it leads."""
    if row.version is None:
        return "back"
    return f"{row.version.plan.name} v{row.version.number}"


def overage_cell(row: Rollout, reader: Reader) -> str:
    """Whether it charges for what was included or blocked."""
    return status_html("overage", "Introduces overage", "warn") if row.introduces_overage else ABSENT


PRICE_CHANGES: Final = Listing(
    key="price-changes",
    title="Price changes",
    columns=(
        columns.text("name", "Price change"),
        custom_column("to", "To", lambda row, reader: to_text(row), csv=to_text),
        columns.status("status", "Status"),
        columns.instant("effective_at", "From", precision="day"),
        columns.quantity("count_all", "Subscriptions"),
        columns.quantity("count_moved", "Moved"),
        columns.quantity("count_failed", "Failed"),
        custom_column("overage", "Overage", overage_cell, csv=lambda row: row.introduces_overage),
        columns.instant("created_at", "Planned", precision="day").extra(),
        columns.text("created_by", "By").extra(),
        columns.identifier("public_id", "Id").extra(),
    ),
    default_sort="-created_at",
    search=("name", "version__plan__name"),
    search_hint="Search name or plan",
    filters=filter_by(Words("status", "status", STATUSES)),
    row_url=lambda row: reverse("price_change", args=[row.public_id]),
    empty_title="No price changes yet",
    empty_text="Customers stay on the version they started on until a price change moves them.",
)


@staff_page()
def price_changes(request: HttpRequest) -> HttpResponseBase:
    """The list."""
    context = {"may_change": may(request.user, Right.MANAGE_PRICES)}
    rows = with_progress(Rollout.objects.all())
    return PRICE_CHANGES.respond(request, rows, "billing/price_changes/list.html", context)


@staff_page(Right.MANAGE_PRICES)
def new_price_change(request: HttpRequest) -> HttpResponseBase:
    """Step 1 and 2: the version (`?version=`), then whom it moves and when."""
    viewer = viewer_of(request)
    counts = dict(running_counts(viewer, clock.now()))
    if "version" not in request.GET:
        context = {"steps": steps(0), "versions": newest_versions(viewer, counts), "crumbs": crumbs("New")}
        return render(request, "billing/price_changes/version.html", context)
    version = find_version(viewer, request.GET["version"])
    data = request.POST if request.method == "POST" else None
    form = CohortForm(data, viewer, version_choices(viewer, version, counts))
    if data is not None and form.is_valid():
        try:
            made = draft_rollout(version, cohort=form.cohort(), by=name_of(request), **form.terms())
            return redirect("price_change", made.public_id)
        except TollgateError as error:
            form.add_error(None, error.message)
    context = {"steps": steps(1), "version": version, "form": form, "crumbs": crumbs("New")}
    status = 422 if form.errors else 200
    return render(request, "billing/price_changes/cohort.html", context, status=status)


@staff_page()
def price_change(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Step 3 for a draft: what it would do; step 5 for one that is announced: what became of whom."""
    row = find_price_change(reference)
    context: dict[str, Any] = {
        "row": row,
        "may_change": may(request.user, Right.MANAGE_PRICES),
        "crumbs": crumbs(row.name),
    }
    if row.status == Status.DRAFT:
        return render(request, "billing/price_changes/draft.html", context | draft_context(row))
    context |= watch_context(request, row)
    rows = visible(RolloutMember, viewer_of(request)).filter(rollout=row)
    return MEMBERS.respond(request, with_names(rows), "billing/price_changes/watch.html", context)


@staff_page()
def price_change_progress(request: HttpRequest, reference: str) -> HttpResponseBase:
    """How far a price change is, alone: what a page that watches it asks for again and again."""
    context = progress_of(find_price_change(reference))
    return render(request, "billing/price_changes/_progress.html", context)


def find_price_change(reference: str) -> Any:
    """The price change of a public id, with its progress; raises NotFound."""
    return find_referenced(with_progress(Rollout.objects.select_related("rollback_of")), "ro", reference)


def watch_context(request: HttpRequest, row: Any) -> dict[str, Any]:
    """What stands around the members of an announced price change."""
    may_change = may(request.user, Right.MANAGE_PRICES)
    return progress_of(row) | {
        "steps": steps(4),
        "rollbacks": list(row.rollbacks.exclude(status=Status.CANCELED)),
        "may_pause": may_change and row.status in (Status.ANNOUNCED, Status.RUNNING),
        "may_resume": may_change and row.status == Status.PAUSED,
        "may_cancel": may_change and row.status in UNDER_WAY,
        "may_roll_back": may_change and row.count_moved > 0 and row.rollback_of_id is None,
        "may_make_whole": row.count_moved + row.count_rolled_back > 0,
    }


def progress_of(row: Any) -> dict[str, Any]:
    """The members by state, and how many are through."""
    counts = [(state, getattr(row, f"count_{state}")) for state in RolloutMember.State.values]
    waiting = (
        *(row.count_pending, row.count_notified, row.count_acknowledged, row.count_failed),
        row.count_held_until,
    )
    return {
        "row": row,
        "counts": [(state, count) for state, count in counts if count],
        "through": row.count_all - sum(waiting),
        "is_live": row.status in (Status.ANNOUNCED, Status.RUNNING),
    }


def draft_context(row: Any) -> dict[str, Any]:
    """What announcing a draft now would fix, or why it cannot be."""
    asked = Simulation.objects.filter(versions__contains=[{"label": row.version.public_id}])
    context: dict[str, Any] = {
        "steps": steps(2),
        "version": row.version,
        "simulations": list(asked.order_by("-pk")[:3]),
        "customers": ",".join(row.cohort.get("customers", [])),
    }
    try:
        context["preview"] = preview_cohort(row)
    except TollgateError as error:
        context["problem"] = error.message
    return context


def newest_versions(viewer: Viewer, counts: dict[int, int]) -> list[tuple[PlanVersion, int]]:
    """The newest published version of each plan, with how many subscriptions are on its older ones."""
    published = visible(PlanVersion, viewer).filter(status=PlanVersion.Status.PUBLISHED, base=None)
    newest: dict[int, PlanVersion] = {}
    behind: dict[int, int] = {}
    for version in published.defer("content").select_related("plan").order_by("plan__name", "-number"):
        newest.setdefault(version.plan_id, version)
        if newest[version.plan_id] is not version:
            behind[version.plan_id] = behind.get(version.plan_id, 0) + counts.get(version.pk, 0)
    return [(version, behind.get(version.plan_id, 0)) for version in newest.values()]


def steps(current: int) -> list[tuple[str, bool, bool]]:
    """The steps of the way as (name, is done, is current)."""
    return [(name, place < current, place == current) for place, name in enumerate(STEPS)]


def crumbs(name: str) -> list[tuple[str, str]]:
    """The breadcrumbs of a price change."""
    return [("Price changes", reverse("price_changes")), (name, "")]


def name_of(request: HttpRequest) -> str:
    """Who acts, for the records."""
    return request.user.email if isinstance(request.user, User) else ""
