"""`/v1/billing-entities/{id}/upcoming`: the current price against the upcoming one, line by line."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import BillingEntity
from accounts.scoping import viewer_of, visible
from billing.simulations.sources import reversed_events
from core import clock
from core.api.fields import AmountField, InstantField, QuantityField
from core.api.filters import refuse_unknown
from core.api.references import find_referenced
from core.errors import InvalidRequest
from core.ids import public_id
from core.jsonio import check_json
from pricing.api.documents import PlanDocument
from pricing.models import PlanVersion
from pricing.simulation import Candidate, compile_content, compile_versions
from pricing.simulation.bills import BillLine
from pricing.simulation.upcoming import Statement, UpcomingSubscription, upcoming_of


class UpcomingAmount(serializers.Serializer[Any]):
    """A line under one version; fees have no quantity."""

    quantity = QuantityField(allow_null=True)
    amount = AmountField()


class UpcomingLine(serializers.Serializer[Any]):
    """A line under both versions; null where a version has no such line, or nothing is coming."""

    key = serializers.CharField()
    current = UpcomingAmount(allow_null=True)
    upcoming = UpcomingAmount(allow_null=True)
    difference = AmountField(allow_null=True)


class UpcomingStatement(serializers.Serializer[Any]):
    """What a stretch of time comes to; totals are exact, before coupons, credits and tax."""

    start = InstantField()
    end = InstantField()
    lines = UpcomingLine(many=True)
    current = AmountField()
    upcoming = AmountField(allow_null=True)
    difference = AmountField(allow_null=True)


class UpcomingPeriod(serializers.Serializer[Any]):
    """The running period: as it stands, and as it will end if usage goes on as lately."""

    start = InstantField()
    end = InstantField()
    so_far = UpcomingStatement()
    projection = UpcomingStatement()


class UpcomingSubscriptionSerializer(serializers.Serializer[Any]):
    """A subscription that runs. `upcoming_version`: an id, `content` for a document, null: none is coming."""

    subscription = serializers.CharField()
    plan = serializers.CharField()
    current_version = serializers.CharField()
    upcoming_version = serializers.CharField(allow_null=True)
    effective_at = InstantField(allow_null=True)
    current_period = UpcomingPeriod()
    last_periods = UpcomingStatement(many=True)


class UpcomingAnswer(serializers.Serializer[Any]):
    """A payer's prices of now and to come."""

    billing_entity = serializers.CharField()
    currency = serializers.CharField()
    as_of = InstantField()
    subscriptions = UpcomingSubscriptionSerializer(many=True)


class UpcomingView(APIView):
    """What a payer pays and would pay."""

    scopes: ClassVar[dict[str, str]] = {"POST": "read"}

    @extend_schema(
        operation_id="upcoming_read",
        tags=["billing-entities"],
        parameters=[
            OpenApiParameter("plan_version", str, description="Instead of the coming version: this one.")
        ],
        responses=UpcomingAnswer,
    )
    def get(self, request: Request, reference: str) -> Response:
        """Under the version that is coming, or under any other."""
        refuse_unknown(request, {"plan_version"})
        entity = self._entity(request, reference)
        version = request.query_params.get("plan_version")
        return self._answer(request, entity, None if version is None else _candidate(request, version))

    @extend_schema(
        operation_id="upcoming_of_content",
        tags=["billing-entities"],
        request=PlanDocument,
        responses=UpcomingAnswer,
    )
    def post(self, request: Request, reference: str) -> Response:
        """Under a plan document that is stored nowhere."""
        refuse_unknown(request, set())
        if not isinstance(request.data, dict):
            raise InvalidRequest("invalid_type", "The body must be a JSON object.")
        check_json(request.data)
        entity = self._entity(request, reference)
        return self._answer(request, entity, compile_content(request.data))

    def _entity(self, request: Request, reference: str) -> BillingEntity:
        return find_referenced(visible(BillingEntity, viewer_of(request)), "be", reference)

    def _answer(self, request: Request, entity: BillingEntity, hypothetical: Candidate | None) -> Response:
        now = clock.now()
        found = upcoming_of(
            entity, viewer_of(request), now, hypothetical=hypothetical, left_out=reversed_events
        )
        shown = {
            "billing_entity": entity.public_id,
            "currency": entity.currency,
            "as_of": now,
            "subscriptions": [_subscription(each) for each in found],
        }
        return Response(UpcomingAnswer(shown).data)


def _candidate(request: Request, reference: str) -> Candidate:
    rows = visible(PlanVersion, viewer_of(request)).select_related("plan")
    return compile_versions([find_referenced(rows, "pv", reference, "plan_version")])[0]


def _subscription(found: UpcomingSubscription) -> dict[str, Any]:
    return {
        "subscription": public_id("sub", found.id),
        "plan": found.plan,
        "current_version": found.current.label,
        "upcoming_version": None if found.upcoming is None else _label(found.upcoming),
        "effective_at": found.effective_at,
        "current_period": {
            "start": found.projection.start,
            "end": found.projection.end,
            "so_far": _statement(found.so_far),
            "projection": _statement(found.projection),
        },
        "last_periods": [_statement(each) for each in found.last],
    }


def _label(candidate: Candidate) -> str:
    return "content" if candidate.version_id is None else candidate.label


def _statement(statement: Statement) -> dict[str, Any]:
    lines = [
        {
            "key": line.key,
            "current": _amount(line.current),
            "upcoming": _amount(line.upcoming),
            "difference": None if statement.upcoming is None else line.difference,
        }
        for line in statement.lines
    ]
    return {
        "start": statement.start,
        "end": statement.end,
        "lines": lines,
        "current": statement.current,
        "upcoming": statement.upcoming,
        "difference": statement.difference,
    }


def _amount(line: BillLine | None) -> dict[str, Any] | None:
    return None if line is None else {"quantity": line.quantity, "amount": line.amount}
