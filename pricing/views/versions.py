"""A version as a price sheet, and two of them side by side."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from accounts.models import Currency
from accounts.permissions import Right, may
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from core import clock
from core.api.references import find_referenced
from core.errors import NotFound
from metering.models import Meter
from pricing.comparing import compare_versions, price_change
from pricing.exporting import export_versions
from pricing.models import PlanVersion
from pricing.plan_rows import running_counts, version_label, with_labels
from pricing.sheet import component_sheets, ramp_sheets
from pricing.terms import terms_of


def find_version(viewer: Viewer, reference: str) -> PlanVersion:
    """The version of a public id; raises NotFound."""
    versions = visible(PlanVersion, viewer).select_related("plan", "customer", "base")
    version: PlanVersion = find_referenced(versions, "pv", reference)
    return version


def sheet_context(version: PlanVersion) -> dict[str, Any]:
    """What the sheet of a version is drawn from; two statements."""
    terms = terms_of(version)
    meters = {meter.key: meter for meter in Meter.objects.filter(key__in=terms.meters)}
    sheets = [(sheet, meters.get(sheet.meter)) for sheet in component_sheets(terms)]
    unit = Currency.objects.filter(pk=terms.currency).first()
    return {"terms": terms, "sheets": sheets, "unit": unit or terms.currency, "ramps": ramp_sheets(terms)}


@staff_page()
def version(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The price sheet of one version."""
    viewer = viewer_of(request)
    found = find_version(viewer, reference)
    others = visible(PlanVersion, viewer).filter(plan=found.plan).exclude(pk=found.pk).defer("content")
    context = {
        "version": found,
        "label": version_label(found),
        "plan": found.plan,
        "others": with_labels(others.order_by("base_id", "-number")),
        "running": running_counts(viewer, clock.now()).get(found.pk, 0),
        "may_change": may(request.user, Right.MANAGE_PRICES),
        "crumbs": [
            ("Plans", reverse("plans")),
            (found.plan.name, reverse("plan", args=[found.plan.key])),
            (version_label(found), ""),
        ],
    }
    return render(request, "pricing/versions/version.html", context | sheet_context(found))


@staff_page()
def plan_diff(request: HttpRequest) -> HttpResponseBase:
    """Two versions of one plan side by side: `?old=&new=`."""
    viewer = viewer_of(request)
    old, new = (find_version(viewer, request.GET.get(name, "")) for name in ("old", "new"))
    if old.plan_id != new.plan_id:
        raise NotFound("not_found", "Only versions of one plan can be compared.")
    return render(request, "pricing/versions/diff.html", _compared(viewer, old, new))


@staff_page()
def version_file(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The version as a plan file, with the meters that it names."""
    found = find_version(viewer_of(request), reference)
    name = f"{found.plan.key}-v{found.number}.yaml"
    return HttpResponse(
        export_versions([found]),
        content_type="application/yaml; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _compared(viewer: Viewer, old: PlanVersion, new: PlanVersion) -> dict[str, Any]:
    comparison = compare_versions(terms_of(old), terms_of(new))
    counts = running_counts(viewer, clock.now())
    return sheet_context(new) | {
        "old": old,
        "new": new,
        "plan": new.plan,
        "old_name": version_label(old),
        "new_name": version_label(new),
        "comparison": comparison,
        "components": [
            (pair, [(row, price_change(row)) for row in pair.prices]) for pair in comparison.components
        ],
        "running_old": counts.get(old.pk, 0),
        "running_new": counts.get(new.pk, 0),
        "crumbs": [
            ("Plans", reverse("plans")),
            (new.plan.name, reverse("plan", args=[new.plan.key])),
            ("Comparison", ""),
        ],
    }
