"""`POST /v1/quarantine/{id}/release`: charge what waited, once what was wrong is mended."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from accounts.scoping import viewer_of, visible
from billing.quarantine import release_quarantined
from core.api.resources import Resource, actor_of
from core.errors import Conflict
from metering.api.quarantine import QuarantinedSerializer
from metering.models import QuarantinedEvent
from metering.quarantine import with_payload_text


class ReleaseResource(Resource):
    """The release of a quarantined event."""

    prefix, noun = "qe", "quarantine"
    serializer_class = QuarantinedSerializer

    def get_queryset(self) -> QuerySet[Any]:
        """What the caller may see: integrations all, nobody else any."""
        return with_payload_text(visible(QuarantinedEvent, viewer_of(self.request)))

    @extend_schema(request=None, responses=QuarantinedSerializer)
    def release(self, request: Request, **kwargs: Any) -> HttpResponseBase:
        """Charge the event under its normal key, at the instant it occurred."""
        return self.write("release", self._release)

    def _release(self) -> Any:
        row = self.get_object()
        if row.status != QuarantinedEvent.Status.WAITING:
            raise Conflict(
                "not_waiting", f"This event does not wait any more: it is {row.get_status_display()}."
            )
        release = release_quarantined([row.pk], by=actor_of(self.request) or "")
        if row.pk in release.refused:
            raise Conflict("still_quarantined", release.refused[row.pk])
        return self.get_object()
