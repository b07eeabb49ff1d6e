"""What people do to a price change: announce, pause, resume, cancel, roll back, make whole. Each is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.contrib import messages
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from accounts.permissions import Right, may
from accounts.staff_pages import staff_page
from billing.reports.comparing import currency_units
from billing.rollouts import (
    announce_rollout,
    cancel_rollout,
    make_whole,
    pause_rollout,
    preview_cohort,
    preview_make_whole,
    resume_rollout,
    roll_back_rollout,
)
from billing.views.price_change_forms import ReasonForm
from billing.views.price_changes import crumbs, find_price_change, name_of, steps
from core.errors import TollgateError
from core.pages.confirm import Confirmation, ask, wrong_word
from pricing.models import Rollout


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing to do: what is asked, what it does, what is said after. `word` must be typed."""

    title: str
    effect: str
    button: str
    said: str
    do: Callable[[Any, str, str], Rollout]
    needs_reason: bool = False
    is_danger: bool = False
    right: Right = Right.MANAGE_PRICES


VERBS: Final[Mapping[str, Verb]] = {
    "pause": Verb(
        "Pause this price change?",
        "Nobody moves until it is resumed. Who has moved stays on the new version.",
        "Pause",
        "Paused: nobody moves.",
        lambda row, reason, by: pause_rollout(row),
    ),
    "resume": Verb(
        "Resume this price change?",
        "Who should have moved in the meantime moves now, or at its next renewal; nothing is backdated.",
        "Resume",
        "Resumed.",
        lambda row, reason, by: resume_rollout(row),
    ),
    "cancel": Verb(
        "Cancel this price change?",
        "Who has not moved stays, and is told so if it was told of the change. Who has moved stays moved. "
        "A canceled price change cannot be taken up again.",
        "Cancel the price change",
        "Canceled.",
        lambda row, reason, by: cancel_rollout(row),
        is_danger=True,
    ),
    "roll-back": Verb(
        "Roll this price change back?",
        "Everybody who was moved, and is still there, returns at once to the version it came from; who waits "
        "stays. Usage charged meanwhile keeps its price: make whole gives the difference back.",
        "Roll back",
        "The way back is announced.",
        lambda row, reason, by: roll_back_rollout(row, reason=reason, by=by),
        needs_reason=True,
        is_danger=True,
    ),
}


@staff_page(Right.MANAGE_PRICES)
def announce(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Step 4: what goes out, the reason when notice is short, and the word that sends it."""
    row = find_price_change(reference)
    if row.status != Rollout.Status.DRAFT:
        return redirect("price_change", reference)
    preview, problem = _preview(row)
    needs_reason = preview is not None and preview.needs_reason
    data = request.POST if request.method == "POST" else None
    form = ReasonForm(data, is_required=needs_reason, help_text="Why customers get less notice than 30 days.")
    if data is not None and form.is_valid():
        question = _announcement(row, form.cleaned_data["reason"], preview)
        if "confirm_word" not in request.POST:
            return ask(request, question)
        if again := wrong_word(request, question):
            return again
        return _announced(request, row, form.cleaned_data["reason"])
    context = {"row": row, "preview": preview, "problem": problem, "form": form, "steps": steps(3)}
    context |= {"needs_reason": needs_reason, "crumbs": crumbs(row.name)}
    return render(request, "billing/price_changes/announce.html", context, status=422 if form.errors else 200)


@staff_page(Right.MANAGE_PRICES)
def ask_verb(request: HttpRequest, reference: str, action: str) -> HttpResponseBase:
    """Say what a verb does, before it is done."""
    row, verb = find_price_change(reference), _verb(action)
    if verb.needs_reason:
        context = {"row": row, "verb": verb, "action": action, "form": ReasonForm()}
        context["crumbs"] = crumbs(row.name)
        return render(request, "billing/price_changes/reason.html", context)
    return ask(request, _question(row, verb, action))


@require_POST
@staff_page(Right.MANAGE_PRICES)
def do_verb(request: HttpRequest, reference: str, action: str) -> HttpResponseBase:
    """Do it, and go to the price change that came of it."""
    row, verb = find_price_change(reference), _verb(action)
    form = ReasonForm(request.POST, is_required=verb.needs_reason)
    if not form.is_valid():
        context = {"row": row, "verb": verb, "action": action, "form": form, "crumbs": crumbs(row.name)}
        return render(request, "billing/price_changes/reason.html", context, status=422)
    try:
        after = verb.do(row, form.cleaned_data["reason"], name_of(request))
    except TollgateError as error:
        messages.error(request, error.message)
        return redirect("price_change", reference)
    messages.success(request, verb.said)
    return redirect("price_change", after.public_id)


@staff_page()
def make_whole_page(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Old against new price of everything charged since the move; by POST the differences are credited."""
    row, units = find_price_change(reference), currency_units()
    if request.method == "POST":
        return _make_whole(request, row)
    found = [(one, units.get(_currency(one), _currency(one))) for one in preview_make_whole(row)]
    totals: dict[str, Any] = {}
    for one, unit in found:
        before = totals.get(_currency(one), (unit, 0))[1]
        totals[_currency(one)] = (unit, before + one.due)
    context = {
        "row": row,
        "found": found,
        "totals": [total for total in totals.values() if total[1]],
        "crumbs": crumbs(row.name),
        "may_move_money": may(request.user, Right.MOVE_MONEY),
    }
    return render(request, "billing/price_changes/make_whole.html", context)


@staff_page(Right.MOVE_MONEY)
def _make_whole(request: HttpRequest, row: Rollout) -> HttpResponseBase:
    question = Confirmation(
        title="Credit the differences?",
        effect="Each customer that paid more than under its old price gets the difference: first off what it "
        "owes, the rest into its wallet. Nobody gets it twice.",
        verb="Credit them",
        url=reverse("make_whole", args=[row.public_id]),
        back_url=reverse("make_whole", args=[row.public_id]),
        word="credit",
    )
    if "confirm_word" not in request.POST:
        return ask(request, question)
    if again := wrong_word(request, question):
        return again
    try:
        given = make_whole(row, by=name_of(request))
        messages.success(request, f"{len(given)} customers were credited.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("make_whole", row.public_id)


def _currency(one: Any) -> str:
    return str(one.comparison.member.from_version.plan.currency)


def _verb(action: str) -> Verb:
    if action not in VERBS:
        raise Http404
    return VERBS[action]


def _question(row: Rollout, verb: Verb, action: str) -> Confirmation:
    return Confirmation(
        title=verb.title,
        effect=verb.effect,
        verb=verb.button,
        url=reverse("price_change_do", args=[row.public_id, action]),
        back_url=reverse("price_change", args=[row.public_id]),
        facts=[("Price change", row.name)],
        is_danger=verb.is_danger,
    )


def _preview(row: Rollout) -> tuple[Any, str]:
    try:
        return preview_cohort(row), ""
    except TollgateError as error:
        return None, error.message


def _announcement(row: Any, reason: str, preview: Any) -> Confirmation:
    number = 0 if preview is None else preview.subscriptions
    return Confirmation(
        title="Announce this price change?",
        effect="It is fixed who moves and when, and the customers are told. It can be paused, canceled or "
        "rolled back later, but what was told cannot be untold.",
        verb=f"Announce to {number} subscription{'' if number == 1 else 's'}",
        url=reverse("price_change_announce", args=[row.public_id]),
        back_url=reverse("price_change", args=[row.public_id]),
        facts=[("Price change", row.name), ("To", f"{row.version.plan.name} v{row.version.number}")],
        hidden={"reason": reason},
        word="announce",
    )


def _announced(request: HttpRequest, row: Rollout, reason: str) -> HttpResponseBase:
    try:
        announce_rollout(row, reason=reason, by=name_of(request))
        messages.success(request, "Announced.")
    except TollgateError as error:
        messages.error(request, error.message)
        return redirect("price_change_announce", row.public_id)
    return redirect("price_change", row.public_id)
