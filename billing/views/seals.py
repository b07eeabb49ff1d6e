"""Seals: how far each payer's chain has come, whether it fits, and what an outsider needs to check it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse

from accounts.models import BillingEntity
from accounts.permissions import Right, may
from accounts.scoping import Viewer, viewer_of, visible
from accounts.staff_pages import staff_page
from billing.models import Discrepancy, PayerCheckpoint, ReconciliationRun, Seal
from billing.reconciliation.links.seals import NAME
from billing.seals.exporting import export_heads, export_ledger, json_line
from billing.store_seals import End, read_ends
from billing.store_snapshot import snapshot
from billing.views.listings import DescribedListing
from core.api.references import find_referenced
from core.display.html import ABSENT
from core.display.statuses import status_html
from core.pages import columns
from core.pages.cells import custom_column, link
from core.sql import driver

EXPORTED_MAX: Final = 100_000
"""Numbers of a payer whose export may be downloaded; larger ones are written by the command."""


@dataclass(frozen=True, slots=True)
class SealRow:
    """A payer with the end of its chain. `proven`: up to which number, and when, a run found nothing."""

    payer: BillingEntity
    end: End
    misfits: int
    proven: PayerCheckpoint | None
    export_url: str

    @property
    def unsealed(self) -> int:
        """Numbers after the last seal."""
        return self.end.seq - self.end.sealed

    @property
    def head(self) -> str:
        """In hex."""
        return "" if self.end.head is None else self.end.head.hex()

    @property
    def state(self) -> str:
        """A word for how the chain stands."""
        if self.misfits:
            return "broken"
        if not self.end.seq:
            return "none"
        return "unsealed" if self.unsealed else "sealed"


def state_html(row: SealRow) -> str:
    """The state as a badge."""
    match row.state:
        case "broken":
            return status_html("broken", f"{row.misfits} not fitting", "bad")
        case "none":
            return status_html("none", "Nothing booked")
        case "unsealed":
            return status_html("queued", "Seals next")
        case _:
            return status_html("sealed", tone="good")


SEALS: Final = DescribedListing(
    key="seals",
    title="Seals",
    columns=(
        columns.text("payer.customer.name", "Customer", sort=None, sub="payer.name"),
        custom_column("state", "State", lambda row, reader: state_html(row), csv=lambda row: row.state),
        columns.quantity("end.seq", "Last number", sort=None),
        columns.quantity("end.sealed", "Sealed up to", sort=None),
        columns.quantity("unsealed", "Not sealed", sort=None),
        columns.instant("end.sealed_at", "Last seal", sort=None),
        columns.quantity("proven.seq", "Proven up to", sort=None, hint="By the last run that found nothing"),
        columns.instant("proven.proven_at", "Proven", sort=None).extra(),
        custom_column(
            "export",
            "Export",
            lambda row, reader: link(row.export_url, "Download") if row.export_url else ABSENT,
            hint="Without users and properties; their hashes stay",
        ),
        columns.text("head", "Head", sort=None).extra(),
        columns.identifier("payer.public_id", "Id").extra(),
    ),
    order=("-id",),
    search=("name", "external_id", "customer__name"),
    search_hint="Search customer or payer",
    row_url=lambda row: reverse("customer_payers", args=[row.payer.customer.public_id]),
    empty_title="Nobody pays yet",
    empty_text="Each payer has a chain of seals over what is booked of it.",
)


@staff_page()
def seals(request: HttpRequest) -> HttpResponseBase:
    """The payers, the latest first, each with the end of its chain."""
    viewer, may_export = viewer_of(request), may(request.user, Right.VIEW_AUDIT)
    standing = visible(Discrepancy, viewer).filter(link=NAME).exclude(status=Discrepancy.Status.RESOLVED)
    last = visible(Seal, viewer).order_by("-pk").values_list("sealed_at", flat=True).first()
    whole = visible(ReconciliationRun, viewer).filter(
        kind=ReconciliationRun.Kind.FULL, status=ReconciliationRun.Status.DONE, only_customer=None
    )
    context = {
        "last_at": last,
        "misfits": standing.count(),
        "checked_at": whole.order_by("-pk").values_list("finished_at", flat=True).first(),
        "heads_url": reverse("seal_heads") if may_export else "",
    }
    rows = visible(BillingEntity, viewer).select_related("customer")
    listing = replace(SEALS, describe=partial(describe_seals, viewer, may_export=may_export))
    return listing.respond(request, rows, "billing/proof/seals.html", context)


def describe_seals(viewer: Viewer, payers: Sequence[BillingEntity], *, may_export: bool) -> list[SealRow]:
    """The payers of a page with their seals, in three statements."""
    keys = [(payer.customer_id, payer.pk) for payer in payers]
    ends = {end.payer: end for end in read_ends(driver(), keys)} if keys else {}
    wrong = visible(Discrepancy, viewer).filter(link=NAME, billing_entity_id__in=[key[1] for key in keys])
    standing = wrong.exclude(status=Discrepancy.Status.RESOLVED).values_list("billing_entity_id")
    misfits = dict(standing.annotate(count=Count("pk")))
    proven = {
        row.billing_entity_id: row
        for row in visible(PayerCheckpoint, viewer).filter(billing_entity_id__in=[key[1] for key in keys])
    }
    return [
        SealRow(
            payer,
            end := ends.get(key, End(key, 0, 0, None, None)),
            misfits.get(payer.pk, 0),
            proven.get(payer.pk),
            reverse("seal_export", args=[payer.public_id])
            if may_export and 0 < end.sealed <= EXPORTED_MAX
            else "",
        )
        for payer, key in zip(payers, keys, strict=True)
    ]


@staff_page(Right.VIEW_AUDIT)
def seal_heads(request: HttpRequest) -> HttpResponseBase:
    """The last head of every payer, to be kept elsewhere."""

    def lines() -> Iterator[str]:
        with snapshot() as raw:
            yield from map(json_line, export_heads(raw))

    return _download(lines(), "heads")


@staff_page(Right.VIEW_AUDIT)
def export_sealed(request: HttpRequest, reference: str) -> HttpResponseBase:
    """What is sealed of a payer, without what may be erased."""
    payer: BillingEntity = find_referenced(visible(BillingEntity, viewer_of(request)), "be", reference)
    ends = read_ends(driver(), [(payer.customer_id, payer.pk)])
    if any(end.sealed > EXPORTED_MAX for end in ends):
        says = f"It has more than {EXPORTED_MAX:,} numbers: write it by manage.py export_ledger."
        messages.error(request, says)
        return redirect("seals")

    def lines() -> Iterator[str]:
        with snapshot() as raw:
            yield from map(json_line, export_ledger(raw, payer, is_redacted=True))

    return _download(lines(), payer.public_id)


def _download(lines: Iterator[str], name: str) -> StreamingHttpResponse:
    return StreamingHttpResponse(
        lines,
        content_type="application/jsonl; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}.jsonl"', "Cache-Control": "no-store"},
    )
