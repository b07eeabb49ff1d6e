"""Python client of Tollgate: charge, authorize and report API calls at the moment of use."""

from tollgate_client.aio import AsyncClient
from tollgate_client.client import Client
from tollgate_client.errors import (
    ApiError,
    AuthorizationExpired,
    Conflict,
    Denied,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    TollgateError,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unreachable,
)
from tollgate_client.events import Cost, Event
from tollgate_client.results import (
    Balance,
    Charge,
    ChargeLine,
    EventError,
    PayerBalance,
    Report,
    Usage,
    UsagePoint,
    UsageSeries,
)
from tollgate_client.retrying import Retries

__all__ = [
    "ApiError",
    "AsyncClient",
    "AuthorizationExpired",
    "Balance",
    "Charge",
    "ChargeLine",
    "Client",
    "Conflict",
    "Cost",
    "Denied",
    "Event",
    "EventError",
    "InvalidRequest",
    "NotFound",
    "PayerBalance",
    "PermissionDenied",
    "RateLimited",
    "Report",
    "Retries",
    "ServerError",
    "TollgateError",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "Usage",
    "UsagePoint",
    "UsageSeries",
]
