"""Python client of Tollgate: charge, authorize and report API calls at the moment of use."""

from tollgate_client.aio import AsyncClient
from tollgate_client.allowance import LeaseDenied
from tollgate_client.calls import AsyncCall, Call
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
from tollgate_client.events import CallerFields, Cost, Event
from tollgate_client.leases import AsyncLease, Lease
from tollgate_client.results import (
    Authorization,
    Balance,
    Charge,
    ChargeLine,
    Entitlement,
    EventError,
    PayerBalance,
    Report,
    Usage,
    UsagePoint,
    UsageSeries,
)
from tollgate_client.retrying import Retries
from tollgate_client.streams import meter_stream
from tollgate_client.tokens import Tokens, tokens_in

__all__ = [
    "ApiError",
    "AsyncCall",
    "AsyncClient",
    "AsyncLease",
    "Authorization",
    "AuthorizationExpired",
    "Balance",
    "Call",
    "CallerFields",
    "Charge",
    "ChargeLine",
    "Client",
    "Conflict",
    "Cost",
    "Denied",
    "Entitlement",
    "Event",
    "EventError",
    "InvalidRequest",
    "Lease",
    "LeaseDenied",
    "NotFound",
    "PayerBalance",
    "PermissionDenied",
    "RateLimited",
    "Report",
    "Retries",
    "ServerError",
    "Tokens",
    "TollgateError",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unreachable",
    "Usage",
    "UsagePoint",
    "UsageSeries",
    "meter_stream",
    "tokens_in",
]
