"""Moving money by hand: a form, a question that states the effect, and then once."""

from __future__ import annotations

from uuid import uuid4

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.models import BillingEntity, User
from accounts.permissions import Right
from accounts.staff_pages import staff_page
from billing.balances import balance_of
from billing.reports.comparing import currency_units
from billing.reports.customer import CustomerFrame
from billing.views.frame import frame_context, open_frame
from billing.views.money_forms import OPERATIONS, Operation
from core import clock
from core.api.idempotency import answer_once
from core.display.html import money_html
from core.display.locale import locale_of
from core.errors import NotFound, TollgateError
from core.pages.confirm import Confirmation, ask


@staff_page(Right.MOVE_MONEY)
def move_money(request: HttpRequest, reference: str, payer_id: str, operation: str) -> HttpResponseBase:
    """The form; after it the question; after that the deed, and back to the payers."""
    wanted = OPERATIONS.get(operation)
    if wanted is None:
        raise Http404
    frame = open_frame(request, reference)
    payer = _payer(frame, payer_id)
    form = wanted.form(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        if "key" not in request.POST:
            return ask(request, _question(request, frame, payer, wanted, form))
        if _is_done(request, payer, wanted, form):
            return redirect("customer_payers", frame.customer.public_id)
    context = frame_context(request, frame, "customer_payers", below=wanted.title)
    context |= {"form": form, "payer": payer, "operation": wanted}
    return render(request, "billing/customer/money.html", context, status=422 if form.errors else 200)


def _payer(frame: CustomerFrame, payer_id: str) -> BillingEntity:
    payer = next((payer for payer in frame.payers if payer.public_id == payer_id), None)
    if payer is None:
        raise NotFound("not_found", "There is no such payer of this customer.")
    return payer


def _question(
    request: HttpRequest, frame: CustomerFrame, payer: BillingEntity, operation: Operation, form: forms.Form
) -> Confirmation:
    unit, locale = currency_units().get(payer.currency, payer.currency), locale_of(request)
    amount = money_html(form.cleaned_data["amount"], unit, locale, exact=True)
    others = [
        (str(bound.label), str(form.cleaned_data[bound.name]))
        for bound in form
        if bound.name != "amount" and form.cleaned_data[bound.name] not in (None, "")
    ]
    wallet = balance_of(payer, clock.now()).settled
    return Confirmation(
        title=f"{operation.title}?",
        effect=operation.effect,
        verb=operation.verb,
        url=request.path,
        back_url=reverse("customer_payers", args=[frame.customer.public_id]),
        facts=[
            ("Payer", payer.name),
            ("Wallet now", money_html(wallet, unit, locale, exact=True)),
            ("Amount", amount),
            *others,
        ],
        hidden={"key": uuid4().hex, **{bound.name: bound.data or "" for bound in form}},
        is_danger=form.cleaned_data["amount"] < 0,
    )


def _is_done(request: HttpRequest, payer: BillingEntity, operation: Operation, form: forms.Form) -> bool:
    """Do it once, however often the answer to the question is sent; False with the errors on the form."""
    by = request.user.email if isinstance(request.user, User) else ""
    values = form.cleaned_data
    payload = {"billing_entity": payer.public_id, **{name: str(value) for name, value in values.items()}}

    def work() -> tuple[int, None]:
        operation.run(payer, values, by)
        return 201, None

    try:
        key = request.POST["key"][:64]
        answer_once(operation=operation.namespace, key=key, payload=payload, work=work)
    except TollgateError as error:
        form.add_error(None, error.message)
        return False
    messages.success(request, f"{operation.title}: {payer.currency} {values['amount']:f} for {payer.name}.")
    return True
