"""`/v1/jobs`, `/v1/job-runs`, `/v1/parked-messages`: what runs by itself, and what could not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import django_filters
from django.http.response import HttpResponseBase
from drf_spectacular.helpers import forced_singular_serializer
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from core.api.fields import InstantField
from core.api.filters import refuse_unknown
from core.api.resources import Listable, Readable, Resource, actor_of
from core.api.serializers import ShownSerializer, StrictSerializer
from core.jobs import JobState, drop, find_job, job_states, request_run, send_again
from core.models import JobRun, ParkedMessage


class JobRunSerializer(ShownSerializer):
    """One run. `due_at`: when it was sent or asked for. By the machine's time, whatever a test clock says."""

    job = serializers.CharField()
    trigger = serializers.ChoiceField(JobRun.Trigger.choices)
    status = serializers.ChoiceField(JobRun.Status.choices)
    due_at = InstantField()
    started_at = InstantField()
    finished_at = InstantField(allow_null=True)
    seconds = serializers.FloatField(allow_null=True)
    error = serializers.CharField()
    asked_by = serializers.CharField(source="request.asked_by", default=None, allow_null=True)


class JobSerializer(serializers.Serializer[JobState]):
    """A scheduled task as it stands. `failures`: in a row. `lag_seconds`: for how long it should have run."""

    id = serializers.CharField(source="job.name")
    does = serializers.CharField(source="job.does")
    every_seconds = serializers.FloatField(source="job.every_seconds")
    status = serializers.CharField()
    next_at = InstantField()
    lag_seconds = serializers.FloatField()
    failures = serializers.IntegerField()
    error = serializers.CharField()
    last_good_at = InstantField(source="good_at", allow_null=True)
    is_asked_for = serializers.SerializerMethodField()
    last_run = JobRunSerializer(source="last", allow_null=True)

    @extend_schema_field(serializers.BooleanField())
    def get_is_asked_for(self, row: JobState) -> bool:
        """Whether somebody asked for a run that has not begun."""
        return row.request is not None


class JobListSerializer(serializers.Serializer[Any]):
    """All jobs, on one page."""

    data = JobSerializer(many=True)  # type: ignore[assignment]
    has_more = serializers.BooleanField()
    next_cursor = serializers.CharField(allow_null=True)


class JobResource(Resource):
    """Jobs, by the name of their task."""

    prefix, noun = "job", "jobs"
    serializer_class = JobSerializer
    pagination_class = None
    filter_backends = []

    def get_object(self) -> JobState:
        """The job that the path names; raises NotFound."""
        return job_states([find_job(self.kwargs["id"])])[0]

    @extend_schema(responses=forced_singular_serializer(JobListSerializer))  # type: ignore[no-untyped-call]
    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """All of them, in the order in which they run; there is one page."""
        refuse_unknown(request, set())
        rows = [self.represent(state) for state in job_states()]
        return Response({"data": rows, "has_more": False, "next_cursor": None})

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """One of them, by its task's name."""
        return Response(self.represent(self.get_object()))

    @extend_schema(request=None, responses=JobSerializer)
    @action(detail=True, methods=["post"])
    def run(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Run it as soon as a worker is free; asked for already and not begun is asked for once."""
        StrictSerializer(data=request.data).is_valid(raise_exception=True)  # it has no fields

        def work() -> JobState:
            request_run(find_job(self.kwargs["id"]), actor_of(request) or "")
            return self.get_object()

        return self.write("run", work, answer_status=202)


class JobRunFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?job=`, `?status=`, `?trigger=`."""

    job = django_filters.CharFilter()
    status = django_filters.ChoiceFilter(choices=JobRun.Status.choices)
    trigger = django_filters.ChoiceFilter(choices=JobRun.Trigger.choices)


class JobRunResource(Listable, Readable):
    """Runs of jobs: good ones of a day, the others of a month."""

    prefix, noun = "run", "job_runs"
    queryset = JobRun.objects.select_related("request")
    serializer_class = JobRunSerializer
    filterset_class = JobRunFilters


class ParkedMessageSerializer(ShownSerializer):
    """A message of the queue that nobody could work off."""

    task = serializers.CharField()
    reason = serializers.ChoiceField(ParkedMessage.Reason.choices)
    error = serializers.CharField()
    attempts = serializers.IntegerField()
    status = serializers.ChoiceField(ParkedMessage.Status.choices)
    parked_at = InstantField()
    resolved_at = InstantField(allow_null=True)
    resolved_by = serializers.CharField()


class ParkedMessageFilters(django_filters.FilterSet):  # type: ignore[misc]
    """`?status=`, `?reason=`, `?task=`."""

    task = django_filters.CharFilter()
    status = django_filters.ChoiceFilter(choices=ParkedMessage.Status.choices)
    reason = django_filters.ChoiceFilter(choices=ParkedMessage.Reason.choices)


class ParkedMessageResource(Listable, Readable):
    """Parked messages: sent again or dropped, once."""

    prefix, noun = "pmsg", "parked_messages"
    queryset = ParkedMessage.objects.all()
    serializer_class = ParkedMessageSerializer
    filterset_class = ParkedMessageFilters

    @extend_schema(request=None, responses=ParkedMessageSerializer)
    @action(detail=True, methods=["post"], url_path="send-again")
    def send_again(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Put it into the queue once more."""
        return self._resolve("send_again", send_again)

    @extend_schema(request=None, responses=ParkedMessageSerializer)
    @action(detail=True, methods=["post"])
    def drop(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Leave it for good."""
        return self._resolve("drop", drop)

    def _resolve(self, verb: str, work: Callable[[ParkedMessage, str], ParkedMessage]) -> HttpResponseBase:
        StrictSerializer(data=self.request.data).is_valid(raise_exception=True)
        by = actor_of(self.request) or ""
        return self.write(verb, lambda: work(self.get_object(), by))
