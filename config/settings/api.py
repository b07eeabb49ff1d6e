"""The HTTP API: Django REST Framework and its OpenAPI description."""

from __future__ import annotations

from typing import Any

from config.environment import env

REST_FRAMEWORK: dict[str, Any] = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.api.authentication.IntegrationKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["core.api.permissions.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["core.api.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["core.api.parsers.JSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "core.api.negotiation.JSONNegotiation",
    "DEFAULT_PAGINATION_CLASS": "core.api.pagination.CursorPagination",
    "DEFAULT_FILTER_BACKENDS": ["core.api.filters.StrictFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "core.api.schema.TollgateSchema",
    "EXCEPTION_HANDLER": "core.api.errors.handle_exception",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Tollgate",
    "DESCRIPTION": "Meters, prices and charges API calls at the moment of use.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/v1/",
    "POSTPROCESSING_HOOKS": [],  # choices stay where they are: nouns share field names, not values
    "APPEND_COMPONENTS": {
        "securitySchemes": {
            "integrationKey": {"type": "http", "scheme": "bearer", "bearerFormat": "tg_..."},
            "apiKey": {"type": "http", "scheme": "bearer", "bearerFormat": "tk_... or your own"},
        }
    },
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

API_BODY_MAX_BYTES = 32 * 1024**2
"""The largest body that is read, packed or unpacked; 10,000 events of 3 kB."""

TOP_UP_URL: str = env.str("TOLLGATE_TOP_UP_URL", "")
"""Where payers pay in, told in refusals; `{billing_entity}` in it stands for the payer's id."""

TOLLGATE_TEST_CLOCK: bool = env.bool("TOLLGATE_TEST_CLOCK", False)
"""Whether an admin key may set the time of this installation."""

WEB_THREADS: int = env.int("WEB_THREADS", 32)
"""Threads of a web process for all that its event loop does not answer itself."""
