"""`/v1/charges` as it is read: the list, one explained, and its proof."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar, Final
from uuid import UUID

import django_filters
import msgspec
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.api.tenants import TenantFilter
from accounts.models import BillingEntity, Customer, Workspace
from accounts.scoping import viewer_of, visible
from billing.api.answers import LINE_FIELDS, absorbed_of, balance_answer
from billing.api.charge_shapes import (
    ChargeExplanationSerializer,
    ChargeRowSerializer,
    RecomputationSerializer,
)
from billing.costs import know_costs
from billing.models import Charge, Reversal
from billing.recompute import is_proved, recompute_charge
from billing.reports.charge import ChargeFacts, ChargeLine, EventFacts, explain_charge, find_charge
from billing.reports.charge_lines import Step
from billing.store_reports import ANY_ID, EVER, latest_charges
from billing.verification.charges import charge_differences, rated_from
from core.api.filters import InstantFilter
from core.api.pagination import CursorPagination
from core.api.permissions import READ
from core.ids import hot_id, public_id
from core.instants import parse_instant
from core.numbers import CONTEXT
from metering.models import UsageEvent


class OwnerFilter(TenantFilter):
    """Rows of a payer or workspace; by its customer too, for that begins every index of a hot table."""

    def filter(self, qs: QuerySet[Any], value: str) -> QuerySet[Any]:
        """The rows of the owner that `value` names."""
        if not value:
            return qs
        found: Any = self.find(value)
        return qs.filter(customer_id=found.customer_id, **{self.field_name: found.pk})


class ChargeFilter(django_filters.FilterSet):  # type: ignore[misc]
    """Which charges. Name a customer, a payer or a workspace where there are many."""

    customer = TenantFilter("customer_id", Customer, prefix="cus")
    billing_entity = OwnerFilter("billing_entity_id", BillingEntity, prefix="be")
    workspace = OwnerFilter("workspace_id", Workspace, prefix="ws")
    occurred_from = InstantFilter(field_name="occurred_at", lookup_expr="gte")
    occurred_to = InstantFilter(field_name="occurred_at", lookup_expr="lt")
    recorded_from = InstantFilter(field_name="recorded_at", lookup_expr="gte")
    recorded_to = InstantFilter(field_name="recorded_at", lookup_expr="lt")


OWNERS: Final = frozenset({"customer", "billing_entity", "workspace"})
INSTANTS: Final = frozenset({"occurred_from", "occurred_to", "recorded_from", "recorded_to"})


class ChargeList(GenericAPIView[Any]):
    """The charges that there are."""

    queryset = Charge.objects.all()
    serializer_class = ChargeRowSerializer
    filterset_class = ChargeFilter
    ordering: ClassVar[Sequence[str]] = ("-id",)  # a UUIDv7 begins with its instant

    def get_queryset(self) -> QuerySet[Any]:
        """What the caller may see."""
        return visible(Charge, viewer_of(self.request))

    @extend_schema(
        operation_id="charges_list", tags=["charges"], responses=ChargeRowSerializer(many=True), filters=True
    )
    def get(self, request: Request) -> Response:
        """A page of the charges, the newest first."""
        rows = self.filter_queryset(self.get_queryset())
        if not OWNERS & request.query_params.keys():
            rows = self._latest_of_all(rows)
        page: list[Charge] = self.paginate_queryset(rows) or []
        events = self._events(page)
        return self.get_paginated_response([_row(charge, events.get(charge.event_id)) for charge in page])

    def _latest_of_all(self, rows: QuerySet[Charge]) -> QuerySet[Charge]:
        """Of `rows` those of this page: no index has the charges of all customers in one order."""
        limit, follows = CursorPagination().wanted(self.request, self)
        params = self.request.query_params
        asked = {name: parse_instant(params[name], name) for name in INSTANTS & params.keys()}
        keys = latest_charges(
            asked.get("recorded_from", EVER[0]),
            asked.get("recorded_to", EVER[1]),
            limit=limit + 1,
            below=UUID(follows[0]) if follows else ANY_ID,
            occurred_from=asked.get("occurred_from", EVER[0]),
            occurred_to=asked.get("occurred_to", EVER[1]),
        )
        instants = [key.recorded_at for key in keys]
        if not keys:
            return rows.none()
        return rows.filter(
            customer_id__in={key.customer_id for key in keys},
            id__in=[key.id for key in keys],
            recorded_at__gte=min(instants),
            recorded_at__lte=max(instants),
        )

    def _events(self, page: Sequence[Charge]) -> dict[UUID, UsageEvent]:
        """The events of a page of charges, by key, in two statements."""
        if not page:
            return {}
        instants = [charge.event_recorded_at for charge in page]
        rows = visible(UsageEvent, viewer_of(self.request)).filter(
            customer_id__in={charge.customer_id for charge in page},
            id__in=[charge.event_id for charge in page],
            recorded_at__gte=min(instants),
            recorded_at__lte=max(instants),
        )
        events = list(rows.defer("properties", "costs"))
        know_costs(events)
        return {event.id: event for event in events}


class ChargeView(APIView):
    """One charge, explained."""

    @extend_schema(operation_id="charges_retrieve", tags=["charges"], responses=ChargeExplanationSerializer)
    def get(self, request: Request, charge_id: str) -> Response:
        """How its amount came about, who paid it and what it cost."""
        return Response(explanation(explain_charge(viewer_of(request), charge_id)))


class RecomputeView(APIView):
    """The proof of a charge. It writes nothing, so `read` is enough."""

    scopes: ClassVar[dict[str, str]] = {"POST": READ}

    @extend_schema(
        operation_id="charges_recompute", tags=["charges"], request=None, responses=RecomputationSerializer
    )
    def post(self, request: Request, charge_id: str) -> Response:
        """Rate it again from what is stored, after all that came before it in its period."""
        charge = find_charge(viewer_of(request), charge_id)
        again = recompute_charge(charge)
        return Response(
            {
                "id": charge.public_id,
                "matches": is_proved(charge, again),
                "currency": charge.currency,
                "seq": charge.seq,
                "event": hot_id("evt", charge.customer_id, charge.event_id),
                "stored": {"amount": charge.amount, "lines": _lines(charge.lines)},
                "recomputed": {"amount": again.amount, "lines": _lines(again.lines)},
                "problem": again.problem or None,
                "differences": [asdict(each) for each in charge_differences(charge, again)],
                "rated_from": [asdict(each) for each in rated_from(charge.lines)],
            }
        )


def explanation(explained: ChargeFacts) -> dict[str, Any]:
    """A charge with all that it came from."""
    charge, facts = explained.charge, explained.facts
    return _row(charge, facts.event) | {
        "lines": [_line(line) for line in explained.lines],
        "margin": explained.margin,
        "funding": [
            {
                "component": paid.component,
                "account": paid.account,
                "amount": paid.amount,
                "grant": paid.grant and paid.grant.public_id,
            }
            for paid in explained.paid
        ],
        "transfers": [
            {
                "source": transfer.source,
                "destination": transfer.destination,
                "amount": transfer.amount,
                "grant": None if transfer.grant_id is None else public_id("grt", transfer.grant_id),
            }
            for transfer in explained.transfers
        ],
        "overspend": explained.overspend
        and {"amount": explained.overspend.amount, "cause": explained.overspend.cause},
        "is_rerated": explained.is_rerated,
        "reversal": _reversal(explained.reversal),
        "reversed_by": _reversal(explained.reversed_by),
        "event": _event(facts),
    }


def _reversal(row: Reversal | None) -> dict[str, Any] | None:
    if row is None:
        return None
    return {
        "id": row.public_id,
        "cause": row.cause,
        "charge": row.charge_public_id,
        "reversed_charges": [taken.charge_public_id for taken in row.reversed_charges.all()],
        "replaced_by": row.replaced_by_public_id,
        "reason": row.reason,
    }


def _row(charge: Charge, event: UsageEvent | None) -> dict[str, Any]:
    return {
        "id": charge.public_id,
        "status": "charged",
        "customer": public_id("cus", charge.customer_id),
        "billing_entity": public_id("be", charge.billing_entity_id),
        "workspace": _maybe_id("ws", charge.workspace_id),
        "event": hot_id("evt", charge.customer_id, charge.event_id),
        "event_name": event and event.name,
        "idempotency_key": event and event.idempotency_key,
        "amount": CONTEXT.subtract(charge.amount, absorbed_of(charge.lines)),
        "absorbed": absorbed_of(charge.lines),
        "currency": charge.currency,
        "cost": event and event.cost,
        "lines": _lines(charge.lines),
        "balance": balance_answer(charge.available_after, charge.settled_after, charge.held_after),
        "seq": charge.seq,
        "occurred_at": charge.occurred_at,
        "recorded_at": charge.recorded_at,
    }


def _lines(stored: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{name: line[name] for name in LINE_FIELDS} for line in stored]


def _line(line: ChargeLine) -> dict[str, Any]:
    stored = {name: line.stored[name] for name in LINE_FIELDS}
    return stored | {
        "model": line.component.definition["model"],
        "segment": public_id("seg", line.stored["segment"]),
        "dimensions": msgspec.Raw(line.stored["dimensions"].encode()),
        "breakdown": [_step(step) for step in line.steps.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    """A row of the breakdown, as in RATING.md: the model's rows, then the modifiers; they sum to amount."""
    shown = {name: value for name, value in asdict(step).items() if value is not None}
    kind = shown.pop("kind")
    if not step.flat_fee:
        del shown["flat_fee"]
    return shown if kind == "units" else {"modifier": kind} | shown


def _event(facts: EventFacts) -> dict[str, Any]:
    event = facts.event
    return {
        "id": event.public_id,
        "idempotency_key": event.idempotency_key,
        "event": event.name,
        "workspace": _maybe_id("ws", event.workspace_id),
        "api_key": _maybe_id("key", event.api_key_id),
        "occurred_at": event.occurred_at,
        "recorded_at": event.recorded_at,
        "properties": msgspec.Raw(facts.properties.encode()),
        "costs": event.costs,
        "cost": event.cost,
        "user": event.user,
        "trace": event.trace,
        "source": event.source,
    }


def _maybe_id(prefix: str, number: int | None) -> str | None:
    return None if number is None else public_id(prefix, number)
