"""The API's addresses of how much."""

from __future__ import annotations

from rest_framework.routers import SimpleRouter

from metering.api.meters import MeterResource
from metering.api.quarantine import QuarantineResource
from metering.api.rates import CostRateResource, ExchangeRateResource

router = SimpleRouter(trailing_slash=False)
router.register("meters", MeterResource)
router.register("cost-rates", CostRateResource)
router.register("exchange-rates", ExchangeRateResource)
router.register("quarantine", QuarantineResource)

urlpatterns = router.urls
