"""`POST /v1/pricing/preview`: what usage would cost, by the same function as `manage.py rate`."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from drf_spectacular.utils import PolymorphicProxySerializer, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Currency
from core.api.errors import error_body
from core.api.parsers import LenientJSONParser
from core.currencies import CurrencyDecimals, decimals_with_units
from core.errors import TollgateError
from core.jsonio import check_json
from pricing.api.documents import PreviewAnswer, PreviewInput, PreviewItem
from pricing.rating import preview

ONE_OR_MANY: Final = PolymorphicProxySerializer(
    component_name="PreviewAnswers",
    serializers=[PreviewAnswer, PreviewItem(many=True)],
    resource_type_field_name=None,
    many=False,
)


class PreviewView(APIView):
    """Prices usage; stores nothing."""

    parser_classes = [LenientJSONParser]
    scopes: ClassVar[dict[str, str]] = {"POST": "read"}

    @extend_schema(
        operation_id="pricing_preview",
        tags=["pricing"],
        request=PreviewInput,
        responses={200: ONE_OR_MANY},
    )
    def post(self, request: Request) -> Response:
        """Price one document, or each item of an array in its place; a bad item is answered by its error."""
        decimals = decimals_with_units(dict(Currency.objects.values_list("code", "decimals")))
        if not isinstance(request.data, list):
            return Response(_priced(request.data, decimals))
        return Response([_answer(request, item, decimals) for item in request.data])


def _answer(request: Request, item: Any, decimals: CurrencyDecimals) -> dict[str, Any]:
    try:
        return _priced(item, decimals)
    except TollgateError as error:
        return error_body(error, request._request)


def _priced(item: Any, decimals: CurrencyDecimals) -> dict[str, Any]:
    check_json(item)
    return preview(item, decimals)
