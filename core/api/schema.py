"""OpenAPI 3.1 through drf-spectacular: what the resources declare, and the errors they all share."""

from __future__ import annotations

from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from core.api.resources import Resource

_TEXT: Final = {"type": "string"}
_MAYBE_TEXT: Final = {"type": ["string", "null"]}
ERROR_TYPES: Final = (
    "invalid_request",
    "authentication",
    "permission",
    "payment_required",
    "not_found",
    "conflict",
    "too_large",
    "rate_limited",
    "internal",
)
ERROR_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "code", "message", "param", "doc_url", "request_id"],
            "properties": {
                "type": {"type": "string", "enum": list(ERROR_TYPES)},
                "code": _TEXT,
                "message": _TEXT,
                "param": _MAYBE_TEXT,
                "doc_url": _TEXT,
                "request_id": _MAYBE_TEXT,
            },
        }
    },
}
_READING: Final = {
    "400": "The request is malformed.",
    "401": "No valid key.",
    "403": "The key lacks the scope.",
    "404": "There is no such object.",
    "406": "Only JSON is answered.",
}
_WRITING: Final = {
    "409": "It contradicts what has happened already.",
    "413": "The body is too large.",
    "415": "Only JSON is read.",
    "422": "It does not fit what is stored.",
}
_VERBS: Final = {"list": "List", "retrieve": "Read", "create": "Create", "partial_update": "Change"}
_IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "A repetition under the same key gets the first answer.",
}


class TollgateSchema(AutoSchema):
    """What every operation of the API has."""

    def get_operation_id(self) -> str:
        """`customers_list`, `api_keys_revoke`: noun and verb."""
        view = self.view
        if isinstance(view, Resource):
            return f"{view.noun}_{getattr(view, 'action', self.method.lower())}"
        return str(super().get_operation_id())

    def get_summary(self) -> str:
        """A few words: `List api keys`."""
        if given := super().get_summary():
            return str(given)
        view = self.view
        if not isinstance(view, Resource):
            return self.get_operation_id().replace("_", " ").capitalize()
        verb = _VERBS.get(view.action or "", (view.action or "").replace("_", " ").capitalize())
        return f"{verb} {view.noun.replace('_', ' ')}"

    def get_tags(self) -> list[str]:
        """Operations stand under their noun."""
        view = self.view
        return [view.noun.replace("_", " ")] if isinstance(view, Resource) else list(super().get_tags())

    def get_auth(self) -> list[dict[str, Any]]:
        """The credentials that an authentication class lists in `schemes`."""
        classes = self.view.get_authenticators()
        return [{name: []} for each in classes for name in getattr(each, "schemes", ())]

    def get_request_serializer(self) -> Any:
        """The body of the verb: what the resource reads, not what it shows."""
        view = self.view
        if isinstance(view, Resource):
            field = {"create": "input_class", "partial_update": "change_class"}.get(view.action or "")
            return getattr(view, field) if field else None
        return super().get_request_serializer()

    def _resolve_path_parameters(self, variables: Any) -> list[dict[str, Any]]:
        if not isinstance(self.view, Resource):
            resolved: list[dict[str, Any]] = super()._resolve_path_parameters(variables)  # type: ignore[no-untyped-call]
            return resolved
        return [
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": _TEXT,
                "description": "Id or external id.",
            }
            for name in variables
        ]

    def _get_parameters(self) -> list[dict[str, Any]]:
        parameters: list[dict[str, Any]] = super()._get_parameters()
        if self.method != "GET" and isinstance(self.view, Resource):
            parameters.append(_IDEMPOTENCY_KEY)
        return parameters

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        responses: dict[str, Any] = super()._get_response_bodies(direction)
        errors = _READING if self.method == "GET" else _READING | _WRITING
        return responses | {
            status: self._error(text) for status, text in errors.items() if status not in responses
        }

    def _error(self, description: str) -> dict[str, Any]:
        component = ResolvedComponent(  # type: ignore[no-untyped-call]
            "Error", ResolvedComponent.SCHEMA, schema=ERROR_SCHEMA, object="Error"
        )
        self.registry.register_on_missing(component)
        return {"description": description, "content": {"application/json": {"schema": component.ref}}}
