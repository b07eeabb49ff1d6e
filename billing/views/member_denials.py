"""Refused calls as their customer sees them: why, at which level, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.html import format_html, format_html_join

from accounts.models import BillingEntity, Currency
from accounts.permissions import Right, may
from accounts.scoping import viewer_of, visible
from billing.balances import balances_of
from billing.models import Denial
from billing.reports.comparing import currency_units
from billing.reports.customer import CustomerFrame
from billing.reports.refusals import REFUSING, Group, own_denial_groups, sum_of
from billing.reports.standing_limits import limits_behind
from billing.views.denials import DENIALS, DenialRow, denial_rows
from billing.views.listings import DescribedListing
from billing.views.member import framed, member_page
from billing.views.refusals import PeriodForm, chosen_period, with_units
from billing.views.remedies import (
    REASONS,
    STORED,
    Means,
    Remedy,
    general_remedy,
    remedy_of,
    told_reason,
)
from core import clock
from core.display.html import instant_html
from core.display.instants import zone_of
from core.display.statuses import status_html
from core.errors import NotFound
from core.pages import columns
from core.pages.cells import custom_column, link, with_sub
from core.pages.choices import Choice, Words, filter_by
from core.pages.columns import Reader

_WORDS: Final = dict(REASONS)
_SHARED: Final = {column.key: column for column in DENIALS.columns}


@dataclass(frozen=True, slots=True)
class OwnDenial(DenialRow):
    """A refused call, and what its customer can do about it."""

    remedy: Remedy

    @property
    def reason(self) -> str:
        """Its reason, as customers read it."""
        return told_reason(self.denial.reason)

    @property
    def level(self) -> str:
        """Its level; of what is the operator's own business, the payer."""
        return "billing_entity" if self.is_declined else self.denial.level

    @property
    def whose_level(self) -> str:
        """Whose the level is, as people call it."""
        return self.payer.name if self.is_declined else self.level_name

    @property
    def is_declined(self) -> bool:
        """Whether the operator would not have it, for reasons of its own."""
        return self.denial.reason == Denial.Reason.MARGIN_FLOOR


def reason_cell(row: OwnDenial, reader: Reader) -> str:
    """The reason as a badge; the words of most are the usual ones."""
    return reason_html(row.reason)


def reason_html(word: str) -> str:
    """A reason as customers read it, as a badge."""
    plain = word.replace("_", " ")
    label = _WORDS.get(word, "")
    return status_html(word, "" if label == plain.title() else label)


def level_cell(row: OwnDenial, reader: Reader) -> str:
    """Which level refused, and whose it is."""
    return with_sub(REFUSING.get(row.level, row.level), row.whose_level)


def remedy_cell(row: OwnDenial, reader: Reader) -> str:
    """What to do, over where, and when it resets by itself."""
    remedy, zone = row.remedy, zone_of(row.payer.time_zone)
    parts = [link(remedy.url, remedy.action)] if remedy.url else []
    if remedy.resets_at is not None:
        parts.append(format_html("resets {}", instant_html(remedy.resets_at, zone, reader.locale, "minute")))
    return with_sub(remedy.words, format_html_join(" · ", "{}", [(part,) for part in parts]))


OWN_DENIALS: Final = DescribedListing(
    key="refused",
    title="Refused calls",
    columns=(
        _SHARED["denial_event"],
        replace(_SHARED["denial_denied_at"], label="Refused"),
        custom_column("reason", "Reason", reason_cell, csv=lambda row: row.reason),
        custom_column("level", "Level", level_cell, csv=lambda row: row.level),
        _SHARED["denial_expected_amount"],
        _SHARED["denial_limit"],
        _SHARED["denial_available"],
        custom_column("remedy", "What to do", remedy_cell, csv=lambda row: row.remedy.words),
        _SHARED["denial_resets_at"],
        _SHARED["denial_used"],
        columns.text("whose_level", "Whose level", sort=None).extra(),
        _SHARED["workspace_name"],
        _SHARED["denial_idempotency_key"],
        _SHARED["payer_name"],
        columns.identifier("denial.public_id", "Id").extra(),
    ),
    order=("-denied_at", "-id"),
    page_size=25,
    keeps=("customer", "period"),
    empty_title="No call was refused",
    empty_text="A refused call is listed here with its reason and what to do about it. It costs nothing.",
)
LEVELS: Final = [(word, label) for word, label in REFUSING.items()]


@member_page
def member_denials(request: HttpRequest, frame: CustomerFrame) -> HttpResponseBase:
    """A customer's own refused calls: how many by reason and level, then each, the latest first."""
    if (request.GET.get("customer") or frame.customer.public_id) != frame.customer.public_id:
        raise NotFound("not_found", "There is no such customer.")  # rather than show one's own as another's
    viewer, units = viewer_of(request), currency_units()
    period, since = chosen_period(request)
    payers = {payer.pk: payer for payer in frame.payers}
    groups = own_denial_groups(viewer, frame.customer.pk, payers, since)
    context = framed(request, frame) | own_sums(request, frame, period, groups, units)
    listing = replace(
        OWN_DENIALS,
        describe=partial(describe_own, request, frame, units),
        filters=filter_by(
            Words("reason", "reason", REASONS, STORED),
            Words("level", "level", LEVELS),
            Choice("payer", "billing_entity_id", "be", [(one.public_id, one.name) for one in frame.payers]),
        ),
    )
    rows = visible(Denial, viewer).filter(customer_id=frame.customer.pk, denied_at__gte=since)
    return listing.respond(request, rows, "billing/member/refused.html", context)


def own_sums(
    request: HttpRequest,
    frame: CustomerFrame,
    period: str,
    groups: Sequence[Group],
    units: Mapping[str, Currency],
) -> dict[str, Any]:
    """What stands above the list: each reason and level with what to do about it, and where its calls are."""
    asked = f"&customer={frame.customer.public_id}" if "customer" in request.GET else ""
    return {
        "form": PeriodForm(initial={"period": period}),
        "as_of": clock.now(),
        "groups": [_told(group, f"&period={period}{asked}", units) for group in groups],
        "number": sum(group.number for group in groups),
        "sums": with_units(sum_of(groups), units),
    }


def _told(group: Group, asked: str, units: Mapping[str, Currency]) -> dict[str, Any]:
    reason, level = group.words
    word = told_reason(reason)
    narrowed = f"?reason={word}" if word != reason else f"?reason={word}&level={level}"
    return {
        "badge": reason_html(word),
        "url": narrowed + asked,
        "level": REFUSING.get(level, level),
        "number": group.number,
        "amounts": with_units(group.amounts, units),
        "remedy": general_remedy(reason, level),
    }


def describe_own(
    request: HttpRequest, frame: CustomerFrame, units: Mapping[str, Currency], rows: Sequence[Denial]
) -> list[OwnDenial]:
    """Refused calls of a page with names and what to do: beside the statements of names one for limits, and
    those of balances, where these refused."""
    payers = {payer.pk: payer for payer in frame.payers}
    means = _means(request, frame, payers, rows)
    return [
        OwnDenial(
            row.denial,
            row.payer,
            row.workspace,
            row.unit,
            row.whose,
            remedy_of(row.denial, row.payer, means),
        )
        for row in denial_rows(viewer_of(request), payers, units, rows)
    ]


def _means(
    request: HttpRequest,
    frame: CustomerFrame,
    payers: Mapping[int, BillingEntity],
    rows: Sequence[Denial],
) -> Means:
    now = clock.now()
    return Means(
        now=now,
        customer=frame.customer.public_id,
        may_set_limits=may(request.user, Right.MANAGE_LIMITS, frame.customer.pk),
        may_pay=may(request.user, Right.TOP_UP, frame.customer.pk),
        balances=balances_of(_short(payers, rows), now),
        limits=limits_behind(viewer_of(request), rows),
    )


def _short(payers: Mapping[int, BillingEntity], rows: Sequence[Denial]) -> list[BillingEntity]:
    """The payers that calls were refused for want of money."""
    wanted = {row.billing_entity_id for row in rows if row.reason == Denial.Reason.INSUFFICIENT_FUNDS}
    return [payer for pk, payer in payers.items() if pk in wanted]
