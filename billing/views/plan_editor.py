"""The editor: a plan file checked as it is typed, beside what it would bring and what its usage costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.permissions import Right
from accounts.staff_pages import staff_page
from billing.reports.comparing import currency_units
from billing.reports.plan_economics import BY_QUANTITY, PlanEconomics, plan_economics
from core import clock
from core.htmx import wants_fragment
from pricing.api.plans import find_plan
from pricing.applied import Applied
from pricing.catalog import Catalog, CatalogError, Problem, read_catalog, read_documents
from pricing.catalog.diff import Change, diff_contents
from pricing.catalog.yaml_out import write_documents
from pricing.models import Plan, PlanVersion
from pricing.plans import apply_catalog
from pricing.versions import latest_published, own_versions

FILE: Final = "plan.yaml"
QUANTITY: Final = "quantity-"
EXAMPLE: Final = """plan: example
name: Example
currency: USD
interval: month
base_fees:
  - {key: platform, amount: "49.00", timing: in_advance, prorate: true}
components: []
"""


@dataclass(frozen=True, slots=True)
class Checked:
    """A text, what is wrong with it, or what saving it would do."""

    text: str
    problems: Sequence[Problem] = ()
    catalog: Catalog | None = None
    applied: Sequence[Applied] = ()

    @property
    def lines(self) -> list[tuple[int, str, list[Problem]]]:
        """The lines with a problem as (number, text, problems), for who reads without a script."""
        texts = self.text.splitlines()
        found: dict[int, list[Problem]] = {}
        for problem in self.problems:
            found.setdefault(problem.line or 0, []).append(problem)
        return [(n, texts[n - 1] if 0 < n <= len(texts) else "", found[n]) for n in sorted(found)]


@staff_page(Right.MANAGE_PRICES)
def plan_editor(request: HttpRequest, reference: str = "") -> HttpResponseBase:
    """The file of a plan (none: a new one): looked at, checked, saved as a draft."""
    plan = find_plan(reference) if reference else None
    if request.method != "POST":
        text = text_of(plan) if plan else EXAMPLE
        return render(request, "billing/plan_editor/editor.html", page_context(request, plan, check(text)))
    checked = check(request.POST.get("text", ""))
    if request.POST.get("action") == "save" and not checked.problems and not wants_fragment(request):
        return _saved(request, checked)
    context = page_context(request, plan, checked)
    if wants_fragment(request):
        return render(request, "billing/plan_editor/_check.html", context)
    status = 422 if checked.problems else 200
    return render(request, "billing/plan_editor/editor.html", context, status=status)


def check(text: str) -> Checked:
    """Everything that stands against saving a text, found by applying it and undoing that."""
    text = text.replace("\r\n", "\n")
    try:
        catalog = _read(text)
        with transaction.atomic():
            applied = apply_catalog(catalog)
            transaction.set_rollback(True)
    except CatalogError as error:
        return Checked(text, error.problems)
    return Checked(text, (), catalog, applied)


def page_context(request: HttpRequest, plan: Plan | None, checked: Checked) -> dict[str, Any]:
    """What the editor shows of a text."""
    asked = {
        name.removeprefix(QUANTITY): value
        for name, value in request.POST.items()
        if name.startswith(QUANTITY) and isinstance(value, str)
    }
    now, units = clock.now(), currency_units()
    plans = checked.catalog.plans.values() if checked.catalog else ()
    here = [(plan.name, reverse("plan", args=[plan.key])), ("Editor", "")] if plan else [("New plan", "")]
    return {
        "plan": plan,
        "checked": checked,
        "plans": [
            _shown(plan_economics(terms, asked, now), units.get(terms.currency, terms.currency))
            for terms in plans
        ],
        "by_quantity": BY_QUANTITY,
        "others": [one for one in checked.applied if one.noun != "plan"],
        "crumbs": [("Plans", reverse("plans")), *here],
    }


def text_of(plan: Plan) -> str:
    """The file of a plan's draft, or of its newest version."""
    versions = own_versions(plan).order_by("-number")
    version = versions.filter(status=PlanVersion.Status.DRAFT).first() or versions.first()
    return write_documents([version.content]) if version else EXAMPLE.replace("example", plan.key, 1)


def changes_of(economics: PlanEconomics) -> tuple[PlanVersion | None, Sequence[Change]]:
    """The newest published version of the plan, and what the text changes against it."""
    plan = Plan.objects.filter(key=economics.terms.key).first()
    latest = latest_published(plan) if plan else None
    diff = diff_contents(None if latest is None else latest.content, economics.terms.content())
    return latest, diff.changes


def _shown(economics: PlanEconomics, unit: Any) -> dict[str, Any]:
    latest, changes = changes_of(economics)
    return {"economics": economics, "unit": unit, "latest": latest, "changes": changes}


def _read(text: str) -> Catalog:
    documents = read_documents(text.encode(errors="replace"), FILE)
    if not documents:
        raise CatalogError([Problem("no_plans", "Nothing is defined here.", file=FILE)])
    return read_catalog(documents)


def _saved(request: HttpRequest, checked: Checked) -> HttpResponseBase:
    try:
        applied = apply_catalog(_read(checked.text))
    except CatalogError as error:
        messages.error(request, str(error.problems[0]))
        return redirect("plans")
    for one in applied:
        messages.success(request, f"{one}.")
    versions = [one.version for one in applied if one.version is not None]
    return redirect("plan_version", versions[0].public_id) if versions else redirect("plans")
