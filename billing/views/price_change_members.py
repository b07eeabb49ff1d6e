"""The subscriptions of a price change: what becomes of each, and deciding about one."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_POST

from accounts.models import User
from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from accounts.staff_pages import staff_page
from billing.rollouts import acknowledge_member, except_members, hold_out
from billing.views.cohort_fields import midnight_utc
from billing.views.price_change_forms import HoldOutForm, LimitsForm, ReasonForm
from core.api.references import find_referenced
from core.display.html import ABSENT, instant_html
from core.display.instants import zone_of
from core.display.statuses import status_html
from core.errors import InvalidRequest, TollgateError
from core.pages import columns
from core.pages.cells import custom_column, link
from core.pages.choices import Words, filter_by
from core.pages.columns import Reader
from core.pages.listing import Listing
from metering.models import Meter
from pricing.models import RolloutMember
from pricing.rollouts import overages_between

State = RolloutMember.State
OPEN: Final = (State.PENDING, State.NOTIFIED, State.ACKNOWLEDGED, State.FAILED, State.HELD_OUT)


def path_cell(row: RolloutMember, reader: Reader) -> str:
    """`v1 to v2`, the target as a link."""
    return link(reverse("plan_version", args=[row.to_version.public_id]), path_text(row))


def path_text(row: RolloutMember) -> str:
    """The same as text."""
    return f"v{row.from_version.number} to v{row.to_version.number}"


def moves(row: RolloutMember) -> bool:
    """Whether it has moved with this price change, or will."""
    if row.state == State.HELD_OUT:
        return row.held_until is not None
    return row.state not in (State.EXCEPTED, State.LEFT, State.CANCELED)


def moves_cell(row: RolloutMember, reader: Reader) -> str:
    """When it moves; nothing for who stays."""
    at = row.effective_at if moves(row) else None
    return instant_html(at, zone_of(row.billing_entity.time_zone), reader.locale)


def overage_cell(row: RolloutMember, reader: Reader) -> str:
    """Whether it has accepted what begins to cost, and if not whether an old ceiling holds until then."""
    if not row.introduces_overage or not moves(row):
        return ABSENT
    if row.acknowledged_at:
        return status_html("accepted")
    found = row.rollout.overages.get(row.from_version.public_id, [])
    has_ceiling = any(one["ceiling"] is not None for one in found)
    return status_html("ceiling_kept") if has_ceiling else status_html("not_accepted", tone="neutral")


def result_cell(row: RolloutMember, reader: Reader) -> str:
    """What happened, in words."""
    if row.state != State.MOVED:
        return format_html('<span class="reason">{}</span>', row.result) if row.result else ABSENT
    at = instant_html(row.moved_at, zone_of(row.billing_entity.time_zone), reader.locale)
    return format_html("moved {}", at)


MEMBERS: Final = Listing(
    key="members",
    title="Subscriptions in this price change",
    columns=(
        columns.text("customer.name", "Customer", sort="customer__name", sub="billing_entity.name"),
        custom_column("path", "From and to", path_cell, csv=path_text),
        columns.status("state", "State"),
        custom_column(
            "effective_at",
            "Moves",
            moves_cell,
            sort="effective_at",
            csv=lambda row: row.effective_at if moves(row) else None,
        ),
        columns.instant("acknowledged_at", "Accepted", precision="day"),
        custom_column("overage", "Overage", overage_cell, csv=lambda row: row.introduces_overage),
        custom_column("result", "Result", result_cell, csv=lambda row: row.result),
        columns.instant("notified_at", "Told", precision="day").extra(),
        columns.instant("moved_at", "Moved").extra(),
        columns.instant("held_until", "Held until", precision="day").extra(),
        columns.text("acknowledged_by", "Accepted by").extra(),
        columns.quantity("attempts", "Tries").extra(),
    ),
    default_sort="customer_name",
    search=("customer__name", "customer__external_id", "billing_entity__name"),
    search_hint="Search customer or payer",
    filters=filter_by(Words("state", "state", [(str(word), str(label)) for word, label in State.choices])),
    row_url=lambda row: reverse("price_change_member", args=[row.rollout.public_id, row.public_id]),
    empty_title="Nobody",
)


def with_names(rows: QuerySet[RolloutMember]) -> QuerySet[RolloutMember]:
    """Members with what their rows show."""
    named = rows.select_related("customer", "billing_entity", "rollout", "from_version", "to_version")
    return named.defer("from_version__content", "to_version__content")


@staff_page()
def price_change_member(request: HttpRequest, reference: str, member: str) -> HttpResponseBase:
    """One subscription: what happens to it, and what may be decided about it."""
    row = find_member(request, reference, member)
    meters = overage_meters(row)
    is_open = row.state in OPEN and row.rollout.status in ("announced", "running", "paused")
    context = {
        "member": row,
        "meters": meters,
        "crumbs": [
            ("Price changes", reverse("price_changes")),
            (row.rollout.name, reverse("price_change", args=[row.rollout.public_id])),
            (row.customer.name, ""),
        ],
        "may_decide": may(request.user, Right.MANAGE_PRICES) and is_open,
        "may_accept": may(request.user, Right.MANAGE_PRICES) and (is_open or row.state == State.MOVED),
        "hold_form": HoldOutForm(),
        "except_form": ReasonForm(),
        "accept_form": LimitsForm(None, meters, row.limits),
        "moves": moves(row),
    }
    return render(request, "billing/price_changes/member.html", context)


@require_POST
@staff_page(Right.MANAGE_PRICES)
def decide_member(request: HttpRequest, reference: str, member: str, action: str) -> HttpResponseBase:
    """Hold one subscription out, take it out for good, or accept in its customer's name."""
    row = find_member(request, reference, member)
    try:
        messages.success(request, _decide(request, row, action))
    except TollgateError as error:
        messages.error(request, error.message)
    return redirect("price_change_member", reference, member)


def find_member(request: HttpRequest, reference: str, member: str) -> Any:
    """The member of a price change; raises NotFound."""
    rows = visible(RolloutMember, viewer_of(request)).select_related(
        "customer",
        "billing_entity",
        "rollout__version__plan",
        "subscription__version",
        "from_version__plan",
        "to_version__plan",
    )
    found = find_referenced(rows, "rom", member)
    if found.rollout.public_id != reference:
        raise Http404
    return found


def overage_meters(member: RolloutMember) -> list[tuple[str, str, Decimal | None]]:
    """The meters that begin to cost, as (key, name, where the old price was without cost)."""
    overages = overages_between(member.from_version, member.to_version)
    names = dict(Meter.objects.filter(key__in=[one.meter for one in overages]).values_list("key", "name"))
    return [(one.meter, names.get(one.meter, one.meter), one.ceiling) for one in overages]


def _decide(request: HttpRequest, row: RolloutMember, action: str) -> str:
    name, by = row.customer.name, request.user.email if isinstance(request.user, User) else ""
    if action == "hold-out":
        until = midnight_utc(_valid(HoldOutForm(request.POST))["until"])
        hold_out(row.rollout, [row.subscription], until=until)
        return f"{name} stays where it is {'for ever' if until is None else f'until {until.date()}'}."
    if action == "except":
        except_members(row.rollout, [row.subscription], reason=_valid(ReasonForm(request.POST))["reason"])
        return f"{name} is taken out of this price change."
    if action == "accept":
        form = LimitsForm(request.POST, overage_meters(row))
        _valid(form)
        acknowledge_member(row.rollout, row.subscription, limits=form.limits(), by=by)
        return f"Accepted for {name}."
    raise Http404


def _valid(form: forms.Form) -> dict[str, Any]:
    if not form.is_valid():
        name, errors = next(iter(form.errors.items()))
        raise InvalidRequest("invalid_value", f"{name.capitalize()}: {errors[0]}", name)
    return form.cleaned_data
