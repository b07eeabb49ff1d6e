"""One discrepancy: both sides beside each other, who looks after it, and its repair with a preview."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_POST

from accounts.models import BillingEntity, Customer
from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Discrepancy, DiscrepancyComment, Repair
from billing.reconciliation.discrepancies import BY_HAND, change_discrepancy, comment
from billing.reconciliation.links import LINKS
from billing.reconciliation.repairs.running import actions_for, do_repair, find_action, preview_repair
from billing.reports.reconciliation import sentence_of
from billing.reports.sides import SideRow, sides_of
from billing.views.discrepancy_rows import drift_html
from billing.views.price_changes import name_of
from billing.views.reconciliation import crumbs
from core.api.references import find_referenced
from core.audit import Source, audited
from core.display.locale import locale_of
from core.errors import TollgateError

COMMENT_MAX: Final = 5000
REASON_MAX: Final = 1000


class ChangeForm(forms.Form):
    """Who looks after it, and how it stands."""

    owner = forms.CharField(max_length=200, required=False)
    status = forms.ChoiceField(choices=[(one.value, one.label) for one in BY_HAND])


class CommentForm(forms.Form):
    """What somebody says of it."""

    text = forms.CharField(max_length=COMMENT_MAX, label="Comment", widget=forms.Textarea(attrs={"rows": 2}))


class RepairForm(forms.Form):
    """Why it is repaired; `facts` is the preview that was looked at."""

    facts = forms.CharField(max_length=64, widget=forms.HiddenInput)
    reason = forms.CharField(max_length=REASON_MAX, help_text="Kept with the repair, for the auditor.")


@staff_page()
def discrepancy(request: HttpRequest, reference: str) -> HttpResponseBase:
    """The page."""
    row = find_discrepancy(request, reference)
    is_open = row.status != Discrepancy.Status.RESOLVED
    context = about(request, row) | {
        "offers": actions_for(row) if may(request.user, Right.MOVE_MONEY) else [],
        "has_repairs": bool(actions_for(row)),
        "may_change": is_open and may(request.user, Right.RESOLVE_QUARANTINE),
        "change_form": ChangeForm(initial={"owner": row.owner or name_of(request), "status": row.status}),
        "comment_form": CommentForm(),
        "comments": visible(DiscrepancyComment, viewer_of(request)).filter(discrepancy=row).order_by("pk"),
        "repairs": visible(Repair, viewer_of(request)).filter(discrepancy=row).order_by("pk"),
    }
    return render(request, "billing/reconciliation/discrepancy.html", context)


def about(request: HttpRequest, row: Discrepancy) -> dict[str, Any]:
    """Both sides of it, down to the rows."""
    viewer, locale = viewer_of(request), locale_of(request)
    link = next((link for link in LINKS if link.name == row.link), None)
    sides = sides_of(row)
    return {
        "row": row,
        "link": link,
        "sentence": sentence_of(row.link, row.type),
        "sides": [
            side(link.left if link else "expected", row.expected, sides.left, row, locale)
            | {"left_out": sides.left_out},
            side(link.right if link else "found", row.actual, sides.right, row, locale),
        ],
        "difference": drift_html(row.amount, row.unit, locale),
        "customer": visible(Customer, viewer).filter(pk=row.customer_id or 0).first(),
        "payer": visible(BillingEntity, viewer).filter(pk=row.billing_entity_id or 0).first(),
        "crumbs": crumbs(row.public_id),
    }


def side(title: str, figure: Any, rows: Any, row: Discrepancy, locale: Any) -> dict[str, Any]:
    """One side as the page shows it."""
    return {
        "title": title[:1].upper() + title[1:],
        "figure": drift_html(figure, row.unit, locale),
        "rows": [(one, url_of(one), drift_html(one.amount, row.unit, locale)) for one in rows],
    }


def url_of(row: SideRow) -> str:
    """Where more is to be seen of a row; empty where there is no such page."""
    if row.target is None:
        return ""
    try:
        return reverse(row.target[0], args=row.target[1])
    except NoReverseMatch:
        return ""


@require_POST
@staff_page(Right.RESOLVE_QUARANTINE)
def change(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Take it on, or let it be."""
    row, form = find_discrepancy(request, reference), ChangeForm(request.POST)
    try:
        if form.is_valid():
            with audited(Source.UI, name_of(request)):
                change_discrepancy(row, **form.cleaned_data)
            messages.success(request, "Noted.")
        else:
            messages.error(request, "An owner has 200 letters at most.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("discrepancy", reference)


@require_POST
@staff_page(Right.RESOLVE_QUARANTINE)
def add_comment(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Say something of it."""
    row, form = find_discrepancy(request, reference), CommentForm(request.POST)
    if form.is_valid():
        comment(row, form.cleaned_data["text"], by=name_of(request))
    else:
        messages.error(request, "A comment has at least one letter.")
    return redirect("discrepancy", reference)


@staff_page(Right.MOVE_MONEY)
def repair(request: HttpRequest, reference: str, name: str) -> HttpResponseBase:
    """What a repair would write; by POST it is done, if that still is so."""
    row = find_discrepancy(request, reference)
    action = find_action(row, name)
    form = RepairForm(request.POST if request.method == "POST" else None)
    context = about(request, row) | {"action": action, "form": form}
    try:
        if form.is_bound and form.is_valid():
            with audited(Source.UI, name_of(request)):
                do_repair(row, action, by=name_of(request), **form.cleaned_data)
            messages.success(request, "Repaired. The next run will no longer find it.")
            return redirect("discrepancy", reference)
        preview = preview_repair(row, action, by=name_of(request))
    except TollgateError as error:
        return refused(request, row, error)
    if not form.is_bound:
        context["form"] = RepairForm(initial={"facts": preview.facts})
    context |= {
        "preview": preview,
        "crumbs": repair_crumbs(row, action.title),
    }
    status = 422 if context["form"].errors else 200
    return render(
        request, "billing/reconciliation/repair.html", context | after(request, preview), status=status
    )


def after(request: HttpRequest, preview: Any) -> dict[str, Any]:
    """The figures before and after."""
    locale = locale_of(request)
    found = preview.after
    shown = [drift_html(getattr(preview.before, side), preview.before.unit, locale) for side in SIDES]
    then = [drift_html(getattr(found, side), found.unit, locale) for side in SIDES] if found else None
    return {"before": shown, "then": then}


SIDES: Final = ("expected", "actual", "difference")


def refused(request: HttpRequest, row: Discrepancy, error: TollgateError) -> HttpResponseBase:
    """Back to the discrepancy, with the reason."""
    messages.error(request, error.message)
    return redirect("discrepancy", row.public_id)


def repair_crumbs(row: Discrepancy, title: str) -> list[tuple[str, str]]:
    """From the discrepancy to its repair."""
    before = crumbs(row.public_id)[:-1]
    return [*before, (row.public_id, reverse("discrepancy", args=[row.public_id])), (title, "")]


def find_discrepancy(request: HttpRequest, reference: str) -> Discrepancy:
    """The discrepancy of a public id; raises NotFound."""
    row: Discrepancy = find_referenced(visible(Discrepancy, viewer_of(request)), "dis", reference)
    return row
