"""A version as a price sheet, and two of them side by side."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse

from accounts.models import Currency
from accounts.permissions import Right, may
from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from core import clock
from core.api.references import find_referenced
from core.errors import NotFound
from metering.models import Meter
from pricing.comparing import compare_versions, price_change
from pricing.models import PlanVersion
from pricing.plan_rows import running_counts
from pricing.sheet import component_sheets
from pricing.terms import terms_of

VERSIONS = PlanVersion.objects.select_related("plan")


def find_version(reference: str) -> PlanVersion:
    """The version of a public id; raises NotFound."""
    version: PlanVersion = find_referenced(VERSIONS, "pv", reference)
    return version


def sheet_context(version: PlanVersion) -> dict[str, Any]:
    """What the sheet of a version is drawn from; two statements."""
    terms = terms_of(version)
    meters = {meter.key: meter for meter in Meter.objects.filter(key__in=terms.meters)}
    sheets = [(sheet, meters.get(sheet.meter)) for sheet in component_sheets(terms)]
    unit = Currency.objects.filter(pk=terms.currency).first()
    return {"terms": terms, "sheets": sheets, "unit": unit or terms.currency, "meters": meters}


@staff_page()
def version(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The price sheet of one version."""
    found = find_version(reference)
    others = PlanVersion.objects.filter(plan=found.plan).exclude(pk=found.pk).defer("content")
    context = {
        "version": found,
        "plan": found.plan,
        "others": list(others.order_by("-number")),
        "running": running_counts(viewer_of(request), clock.now()).get(found.pk, 0),
        "may_change": may(request.user, Right.MANAGE_PRICES),
        "crumbs": [
            ("Plans", reverse("plans")),
            (found.plan.name, reverse("plan", args=[found.plan.key])),
            (f"v{found.number}", ""),
        ],
    }
    return render(request, "pricing/versions/version.html", context | sheet_context(found))


@staff_page()
def plan_diff(request: HttpRequest) -> HttpResponseBase:
    """Two versions of one plan side by side: `?old=&new=`."""
    old, new = (find_version(request.GET.get(name, "")) for name in ("old", "new"))
    if old.plan_id != new.plan_id:
        raise NotFound("not_found", "Only versions of one plan can be compared.")
    comparison = compare_versions(terms_of(old), terms_of(new))
    counts = running_counts(viewer_of(request), clock.now())
    context = sheet_context(new) | {
        "old": old,
        "new": new,
        "plan": new.plan,
        "comparison": comparison,
        "components": [
            (pair, [(row, price_change(row)) for row in pair.prices]) for pair in comparison.components
        ],
        "running_old": counts.get(old.pk, 0),
        "running_new": counts.get(new.pk, 0),
        "crumbs": [
            ("Plans", reverse("plans")),
            (new.plan.name, reverse("plan", args=[new.plan.key])),
            (f"v{old.number} and v{new.number}", ""),
        ],
    }
    return render(request, "pricing/versions/diff.html", context)
