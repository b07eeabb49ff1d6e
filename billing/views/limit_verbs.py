"""Setting, changing and ending spend limits: by staff for a customer, and by the customer for itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from accounts.permissions import Right, may
from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from billing.limits.verbs import change_limit, create_limit, end_limit
from billing.models import SpendLimit
from billing.reports.comparing import currency_units
from billing.reports.customer import CustomerFrame
from billing.reports.limits import LimitRow, describe_limits, standing_limits
from billing.views.frame import frame_context, open_frame
from billing.views.limit_forms import LimitChangeForm, LimitForm
from billing.views.member import framed, member_page
from core import clock
from core.api.references import find_referenced
from core.display.html import money_html
from core.display.locale import locale_of
from core.errors import TollgateError
from core.pages.confirm import Confirmation, ask

SetBy = SpendLimit.SetBy


@dataclass(frozen=True, slots=True)
class Desk:
    """Where somebody sets limits: whose, in whose name, and the addresses there."""

    frame: CustomerFrame
    set_by: str
    list_url: str
    address: Callable[[str, SpendLimit], str]
    template: str
    context: dict[str, Any]


def staff_desk(request: HttpRequest, reference: str, below: str) -> Desk:
    """Staff's desk for a customer."""
    frame = open_frame(request, reference)
    customer = frame.customer.public_id
    return Desk(
        frame=frame,
        set_by=SetBy.STAFF,
        list_url=reverse("customer_limits", args=[customer]),
        address=lambda name, row: reverse(f"customer_{name}", args=[customer, row.public_id]),
        template="billing/limits/customer_form.html",
        context=frame_context(request, frame, "customer_limits", below=below),
    )


def member_desk(request: HttpRequest, frame: CustomerFrame) -> Desk:
    """A customer's own desk; raises PermissionDenied for who may not set limits."""
    if not may(request.user, Right.MANAGE_LIMITS, frame.customer.pk):
        raise PermissionDenied
    asked = f"?customer={frame.customer.public_id}"
    return Desk(
        frame=frame,
        set_by=SetBy.CUSTOMER,
        list_url=f"{reverse('member_limits')}{asked}",
        address=lambda name, row: f"{reverse(f'member_{name}', args=[row.public_id])}{asked}",
        template="billing/limits/member_form.html",
        context=framed(request, frame),
    )


@staff_page(Right.MANAGE_LIMITS)
def customer_limit_new(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Set a limit for a customer."""
    return _new(request, staff_desk(request, reference, "Set a limit"))


@staff_page(Right.MANAGE_LIMITS)
def customer_limit(request: HttpRequest, reference: str, limit: str) -> HttpResponseBase:
    """Change a limit of a customer."""
    return _change(request, staff_desk(request, reference, "Limit"), limit)


@staff_page(Right.MANAGE_LIMITS)
def customer_limit_ask(request: HttpRequest, reference: str, limit: str) -> HttpResponseBase:
    """Say what ending a limit does."""
    return _ask_end(request, staff_desk(request, reference, "Limit"), limit)


@require_POST
@staff_page(Right.MANAGE_LIMITS)
def customer_limit_end(request: HttpRequest, reference: str, limit: str) -> HttpResponseBase:
    """End a limit of a customer."""
    return _end(request, staff_desk(request, reference, "Limit"), limit)


@member_page
def member_limit_new(request: HttpRequest, frame: CustomerFrame) -> HttpResponseBase:
    """Set a limit of one's own."""
    return _new(request, member_desk(request, frame))


@member_page
def member_limit(request: HttpRequest, frame: CustomerFrame, limit: str) -> HttpResponseBase:
    """Change a limit of one's own."""
    return _change(request, member_desk(request, frame), limit)


@member_page
def member_limit_ask(request: HttpRequest, frame: CustomerFrame, limit: str) -> HttpResponseBase:
    """Say what ending a limit does."""
    return _ask_end(request, member_desk(request, frame), limit)


@require_POST
@member_page
def member_limit_end(request: HttpRequest, frame: CustomerFrame, limit: str) -> HttpResponseBase:
    """End a limit of one's own."""
    return _end(request, member_desk(request, frame), limit)


def _new(request: HttpRequest, desk: Desk) -> HttpResponseBase:
    data = request.POST if request.method == "POST" else None
    form = LimitForm(data, viewer_of(request), desk.frame)
    if data is not None and form.is_valid():
        try:
            create_limit(form.chosen(), form.cleaned_data["amount"], set_by=desk.set_by, **form.terms())
            messages.success(request, "The limit holds from the next call on.")
            return redirect(desk.list_url)
        except TollgateError as error:
            _show(form, error)
    context = desk.context | {"form": form, "list_url": desk.list_url}
    return render(request, desk.template, context, status=422 if form.errors else 200)


def _change(request: HttpRequest, desk: Desk, limit: str) -> HttpResponseBase:
    row = _find(request, desk, limit)
    first = {name: getattr(row.limit, name) for name in ("amount", "kind")}
    first |= {"amount": f"{row.limit.amount.normalize():f}", "thresholds": _listed(row.limit.thresholds)}
    data = request.POST if request.method == "POST" else None
    form = LimitChangeForm(data, initial=first)
    form.fields["amount"].label = f"At most, in {row.limit.currency}"
    if data is not None and form.is_valid():
        try:
            change_limit(row.limit, **form.cleaned_data)
            messages.success(request, "Changed, from the next call on.")
            return redirect(desk.list_url)
        except TollgateError as error:
            _show(form, error)
    ask_url = desk.address("limit_ask", row.limit)
    context = desk.context | {"form": form, "row": row, "list_url": desk.list_url, "ask_url": ask_url}
    return render(request, desk.template, context, status=422 if form.errors else 200)


def _ask_end(request: HttpRequest, desk: Desk, limit: str) -> HttpResponseBase:
    row = _find(request, desk, limit)
    amount = money_html(row.limit.amount, row.unit, locale_of(request), exact=True)
    question = Confirmation(
        title="End this limit?",
        effect="It bounds no call from the next one on; other limits stay. What was spent stays charged.",
        verb="End it",
        url=desk.address("limit_end", row.limit),
        back_url=desk.list_url,
        facts=[
            ("Whose spend", f"{row.name} ({row.level})"),
            ("At most", format_html("{} {}", amount, row.window)),
        ],
        is_danger=True,
    )
    return ask(request, question)


def _end(request: HttpRequest, desk: Desk, limit: str) -> HttpResponseBase:
    row = _find(request, desk, limit)
    try:
        end_limit(row.limit)
        messages.success(request, "Ended.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect(desk.list_url)


def _find(request: HttpRequest, desk: Desk, limit: str) -> LimitRow:
    """A standing limit of the desk's customer; a customer finds only its own. Raises NotFound."""
    rows = standing_limits(viewer_of(request)).filter(customer=desk.frame.customer)
    if desk.set_by == SetBy.CUSTOMER:
        rows = rows.filter(set_by=SetBy.CUSTOMER)
    (row,) = describe_limits(currency_units(), clock.now(), [find_referenced(rows, "lim", limit)])
    return row


def _show(form: LimitChangeForm, error: TollgateError) -> None:
    """The refusal at the field that it is about, or above the form."""
    form.add_error(error.param if error.param in form.fields else None, error.message)


def _listed(thresholds: list[int]) -> str:
    return ", ".join(map(str, thresholds))
