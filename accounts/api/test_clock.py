"""`POST /v1/test-clock`: put the clock of the whole installation somewhere, where it was built for that."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from core import clock
from core.api.fields import InstantField
from core.api.serializers import StrictSerializer
from core.test_clock import set_test_clock


class TestClockSerializer(StrictSerializer):
    """The instant that stands for now."""

    now = InstantField()


class TestClockView(APIView):
    """The test clock; 404 without `TOLLGATE_TEST_CLOCK=1`."""

    @extend_schema(
        operation_id="test_clock_set",
        tags=["test clock"],
        request=TestClockSerializer,
        responses=TestClockSerializer,
    )
    def post(self, request: Request) -> Response:
        """Put the clock of every process to an instant."""
        serializer = TestClockSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        set_test_clock(serializer.validated_data["now"])
        return Response({"now": clock.now()})
