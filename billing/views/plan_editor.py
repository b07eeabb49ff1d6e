"""The editor: a plan file checked as it is typed, beside what it would bring and what its usage costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.permissions import Right
from accounts.staff_pages import staff_page
from billing.reports.comparing import currency_units
from billing.reports.plan_economics import BY_QUANTITY, plan_economics
from core import clock
from core.htmx import wants_fragment
from pricing.api.plans import find_plan
from pricing.applied import Action
from pricing.catalog import Catalog, CatalogError, Problem, read_catalog, read_documents
from pricing.catalog.yaml_out import write_documents
from pricing.models import Plan, PlanVersion
from pricing.plan_diffs import CatalogDiff, diff_catalog
from pricing.plans import apply_catalog
from pricing.versions import own_versions

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
    diff: CatalogDiff | None = None

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
    text = request.POST.get("text", "").replace("\r\n", "\n")
    if request.POST.get("action") == "save" and not wants_fragment(request):
        return _saved(request, plan, text)
    checked = check(text)
    context = page_context(request, plan, checked)
    if wants_fragment(request):
        return render(request, "billing/plan_editor/_check.html", context)
    status = 422 if checked.problems else 200
    return render(request, "billing/plan_editor/editor.html", context, status=status)


def check(text: str) -> Checked:
    """Everything that stands against saving a text, found by applying it and undoing that."""
    try:
        catalog = _read(text)
        return Checked(text, (), catalog, diff_catalog(catalog))
    except CatalogError as error:
        return Checked(text, error.problems)


def page_context(request: HttpRequest, plan: Plan | None, checked: Checked) -> dict[str, Any]:
    """What the editor shows of a text."""
    asked = {
        name.removeprefix(QUANTITY): value
        for name, value in request.POST.items()
        if name.startswith(QUANTITY) and isinstance(value, str)
    }
    diff = checked.diff or CatalogDiff((), ())
    here = [(plan.name, reverse("plan", args=[plan.key])), ("Editor", "")] if plan else [("New plan", "")]
    return {
        "plan": plan,
        "checked": checked,
        "plans": _shown(checked, asked),
        "by_quantity": BY_QUANTITY,
        "others": [one for one in diff.others if one.action is not Action.UNCHANGED],
        "crumbs": [("Plans", reverse("plans")), *here],
    }


def text_of(plan: Plan) -> str:
    """The file of a plan's draft, or of its newest version."""
    versions = own_versions(plan).order_by("-number")
    version = versions.filter(status=PlanVersion.Status.DRAFT).first() or versions.first()
    return write_documents([version.content]) if version else EXAMPLE.replace("example", plan.key, 1)


def _shown(checked: Checked, asked: Mapping[str, str]) -> list[dict[str, Any]]:
    """Each plan of the text with its figures and what it changes."""
    if checked.catalog is None or checked.diff is None:
        return []
    now, units, plans = clock.now(), currency_units(), checked.catalog.plans
    return [
        {
            "economics": plan_economics(plans[one.key], asked, now),
            "unit": units.get(one.currency, one.currency),
            "diff": one,
            "changes": [(change, one.touched_by(change)) for change in one.diff.changes],
        }
        for one in checked.diff.plans
    ]


def _read(text: str) -> Catalog:
    documents = read_documents(text.encode(errors="replace"), FILE)
    if not documents:
        raise CatalogError([Problem("no_plans", "Nothing is defined here.", file=FILE)])
    return read_catalog(documents)


def _saved(request: HttpRequest, plan: Plan | None, text: str) -> HttpResponseBase:
    try:
        applied = apply_catalog(_read(text))
    except CatalogError as error:
        context = page_context(request, plan, Checked(text, error.problems))
        return render(request, "billing/plan_editor/editor.html", context, status=422)
    for one in applied:
        messages.success(request, f"{one}.")
    versions = [one.version for one in applied if one.version is not None]
    return redirect("plan_version", versions[0].public_id) if versions else redirect("plans")
