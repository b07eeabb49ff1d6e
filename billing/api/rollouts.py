"""`/v1/rollouts`: price changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.tenants import TenantFilter
from billing import rollouts
from billing.api import rollout_inputs as inputs
from billing.api import rollout_shapes as shapes
from core.api.filters import ReferenceFilter
from core.api.resources import Creatable, Listable, Readable, actor_of
from core.api.serializers import StrictSerializer
from pricing.models import PlanVersion, Rollout
from pricing.rollouts import with_progress

Verb = Callable[[Rollout, dict[str, Any]], Any]


class RolloutFilters(django_filters.FilterSet):  # type: ignore[misc]
    """Which price changes."""

    status = django_filters.ChoiceFilter(choices=Rollout.Status.choices)
    plan_version = TenantFilter("version_id", PlanVersion, prefix="pv")
    rollback_of = ReferenceFilter(field_name="rollback_of_id", prefix="ro", find_in=Rollout.objects.all)


class RolloutResource(Listable, Readable, Creatable):
    """Price changes: planned moves of subscriptions to another version, with notice."""

    prefix, noun = "ro", "rollouts"
    queryset = Rollout.objects.all()
    serializer_class = shapes.RolloutSerializer
    input_class = inputs.RolloutInput
    filterset_class = RolloutFilters

    def get_queryset(self) -> QuerySet[Any]:
        """Price changes with their progress."""
        return with_progress(super().get_queryset())

    def represent(self, row: Any) -> Any:
        """A price change with its progress as it is now; other answers as they are."""
        if isinstance(row, Rollout):
            row = row if hasattr(row, "count_all") else self.get_queryset().get(pk=row.pk)
            return super().represent(row)
        return row

    def perform_create(self, values: dict[str, Any]) -> Rollout:
        """Plan one; nobody hears of it yet."""
        version, timing = values.pop("plan_version"), values.pop("when")
        values |= values.pop("cohort", {})
        return rollouts.draft_rollout(version, timing=timing, by=self._actor, **values)

    @extend_schema(responses=shapes.CohortPreviewSerializer)
    @action(detail=True, methods=["get"])
    def preview(self, request: Request, **kwargs: Any) -> Response:
        """Whom a draft would move if it were announced now."""
        preview = rollouts.preview_cohort(self.get_object())
        return Response(shapes.CohortPreviewSerializer(preview).data)

    @extend_schema(request=inputs.AnnounceInput, responses=shapes.RolloutSerializer)
    @action(detail=True, methods=["post"])
    def announce(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Fix who moves and when, and tell the customers."""
        return self._verb(
            "announce",
            lambda row, values: rollouts.announce_rollout(row, by=self._actor, **values),
            inputs.AnnounceInput,
        )

    @extend_schema(request=None, responses=shapes.RolloutSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Stop moving."""
        return self._verb("pause", lambda row, values: rollouts.pause_rollout(row))

    @extend_schema(request=None, responses=shapes.RolloutSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Go on; what was due in the meantime moves from now on."""
        return self._verb("resume", lambda row, values: rollouts.resume_rollout(row))

    @extend_schema(request=None, responses=shapes.RolloutSerializer)
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Call off what has not taken effect."""
        return self._verb("cancel", lambda row, values: rollouts.cancel_rollout(row))

    @extend_schema(request=inputs.RollBackInput, responses=shapes.RolloutSerializer)
    @action(detail=True, methods=["post"], url_path="roll-back")
    def roll_back(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Announce a rollout back for those who were moved; answers the new rollout."""
        return self._verb("roll_back", self._roll_back, inputs.RollBackInput)

    @extend_schema(request=inputs.AcknowledgeInput, responses=shapes.RolloutMemberSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Accept the change for a subscription; its old ceilings end, or become the limits given."""
        return self._verb("acknowledge", self._acknowledge, inputs.AcknowledgeInput)

    @extend_schema(request=inputs.HoldOutInput, responses=shapes.MembersSerializer)
    @action(detail=True, methods=["post"], url_path="hold-out")
    def hold_out(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Leave subscriptions on their version until a date, or for ever."""
        return self._verb(
            "hold_out", lambda row, values: _members(rollouts.hold_out(row, **values)), inputs.HoldOutInput
        )

    @extend_schema(request=inputs.ExceptInput, responses=shapes.MembersSerializer)
    @action(detail=True, methods=["post"], url_path="except")
    def except_(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Take subscriptions out of the change."""
        return self._verb(
            "except", lambda row, values: _members(rollouts.except_members(row, **values)), inputs.ExceptInput
        )

    @extend_schema(responses=shapes.MakeWholePreviewSerializer)
    @action(detail=True, methods=["get"], url_path="make-whole")
    def make_whole(self, request: Request, **kwargs: Any) -> Response:
        """Old against new price of everything charged since, per subscription."""
        rows = rollouts.preview_make_whole(self.get_object())
        return Response(shapes.MakeWholePreviewSerializer({"data": rows}).data)

    @extend_schema(request=None, responses=shapes.MakeWholeSerializer)
    @make_whole.mapping.post
    def make_whole_now(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Credit each difference that has not been credited."""
        return self._verb("make_whole", self._make_whole)

    @property
    def _actor(self) -> str:
        return actor_of(self.request) or ""

    def _verb(
        self, name: str, verb: Verb, input_class: type[StrictSerializer] | None = None
    ) -> HttpResponseBase:
        """Do it to the rollout of the path, with the body's values, once per Idempotency-Key."""

        def work() -> Any:
            values = self.written(input_class or StrictSerializer)
            return verb(self.get_object(), values)

        return self.write(name, work, input_class=input_class)

    def _roll_back(self, row: Rollout, values: dict[str, Any]) -> Rollout:
        timing = values.pop("when", Rollout.Timing.IMMEDIATELY)
        return rollouts.roll_back_rollout(row, timing=timing, by=self._actor, **values)

    def _acknowledge(self, row: Rollout, values: dict[str, Any]) -> Any:
        by = values.pop("by", "") or self._actor
        member = rollouts.acknowledge_member(row, values.pop("subscription"), by=by, **values)
        return shapes.RolloutMemberSerializer(member).data

    def _make_whole(self, row: Rollout, values: dict[str, Any]) -> Any:
        credited = rollouts.make_whole(row, by=self._actor)
        return shapes.MakeWholeSerializer({"data": credited}).data


def _members(members: list[Any]) -> Any:
    return shapes.MembersSerializer({"data": members}).data
