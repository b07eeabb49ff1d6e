"""Publishing a draft from its page: what it does is said first, and the plan's key is typed."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from accounts.permissions import Right
from accounts.scoping import viewer_of
from accounts.staff_pages import staff_page
from core.errors import TollgateError
from core.pages.confirm import Confirmation, ask, wrong_word
from pricing.models import PlanVersion
from pricing.plans import publish_version
from pricing.views.versions import find_version


@staff_page(Right.MANAGE_PRICES)
def publish(request: HttpRequest, reference: str) -> HttpResponseBase:
    """Ask, and by POST with the word publish."""
    version = find_version(viewer_of(request), reference)
    question = publishing_question(version)
    if request.method != "POST":
        return ask(request, question)
    if again := wrong_word(request, question):
        return again
    try:
        published = publish_version(version)
        messages.success(request, f"{published} is published. Nobody was moved to it.")
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("plan_version", reference)


def publishing_question(version: PlanVersion) -> Confirmation:
    """What publishing does."""
    return Confirmation(
        title=f"Publish {version.plan.name} v{version.number}?",
        effect="From now on new subscriptions of this plan start on it. It can never be changed or deleted, "
        "and the meters that it names are frozen. Existing customers stay where they are until a price "
        "change moves them.",
        verb="Publish",
        url=reverse("version_publish", args=[version.public_id]),
        back_url=reverse("plan_version", args=[version.public_id]),
        facts=[("Plan", version.plan.key), ("Version", f"v{version.number}")],
        word=version.plan.key,
    )
